"""How personal data looks to somebody who may not see it."""


def mask_phone(phone: str) -> str:
    """`138****8000`."""
    return _middle(phone, 3, 4)


def mask_id_card(number: str) -> str:
    """`110101********1234`."""
    return _middle(number, 6, 4)


def mask_name(name: str) -> str:
    """`*`, `张*`, `张*三`: one star, whatever it hides."""
    if len(name) <= 1:
        return "*" * len(name)
    return f"{name[0]}*" if len(name) == 2 else f"{name[0]}*{name[-1]}"


def name_for(name: str, *, allowed: bool) -> str:
    """The name as a viewer sees it who is, or is not, allowed to know it."""
    return name if allowed else mask_name(name)


def phone_for(phone: str | None, *, allowed: bool) -> str | None:
    """The same for a phone number; who signed in from WeChat may have none."""
    return phone if allowed or phone is None else mask_phone(phone)


def _middle(value: str, head: int, tail: int) -> str:
    hidden = len(value) - head - tail
    # Too short to be the real thing: showing its ends could show most of it.
    return value[:head] + "*" * hidden + value[-tail:] if hidden > 0 else "*" * len(value)
