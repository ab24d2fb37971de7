"""The demo's people, always the same: who there is, what they are called, and the ids that everything of the demo has."""

from uuid import UUID, uuid5

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.model import Role

NAMESPACE = UUID("6f3c1f0e-6d0a-5b8e-9d51-0d1f5c1f7e21")

# Role → first phone and how many (contract, section 8). A place in the cast is the role's first letter and a number: `p1`.
CAST: dict[Role, tuple[int, int]] = {
    "patient": (13800000001, 50),
    "companion": (13810000001, 10),
    "doctor": (13820000001, 80),
    "staff": (13830000001, 5),
    "admin": (13840000001, 1),
}

SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎"
GIVEN = (  # two characters each
    "秀英建国桂兰志强丽华海燕明辉雪梅文博佳怡国栋玉珍晓东春梅子涵振华淑芬俊杰美玲永康"
    "思远红霞家豪月娥德胜欣然大伟秋菊立新静怡学文凤英天佑慧敏长青若兰书恒宝珍云飞"
)

# Somebody who is there already keeps id and name: they signed in before the demo came.
_PEOPLE = text("""
INSERT INTO users (id, phone, name, role, membership_level)
VALUES (CAST(:id AS uuid), :phone, :name, :role, :level)
ON CONFLICT (phone) DO UPDATE SET role = excluded.role
""")
_IDS = text("SELECT phone, id::text FROM users WHERE phone = ANY (CAST(:phones AS text[]))")


def id_of(*names: str) -> str:
    """The id of what these names say, the same in every installation."""
    return str(uuid5(NAMESPACE, "/".join(names)))


def places() -> dict[str, tuple[Role, int]]:
    """Everybody's role and number by their place in the cast."""
    return {f"{role[0]}{n}": (role, n) for role, (_, count) in CAST.items() for n in range(1, count + 1)}


def phone_of(place: str) -> str:
    role, number = places()[place]
    return str(CAST[role][0] + number - 1)


def name_of(role: Role, number: int) -> str:
    """Always the same name for the same place in the cast. 50 and 39 have no common factor, so names hardly repeat."""
    place = list(CAST).index(role) * 17 + number * 7
    given = (place * 5 + number) % (len(GIVEN) // 2)
    return SURNAMES[place % len(SURNAMES)] + GIVEN[2 * given : 2 * given + 2]


async def add_people(connection: AsyncConnection) -> dict[str, str]:
    """Everybody's id by their place in the cast."""
    phones = {place: str(CAST[role][0] + number - 1) for place, (role, number) in places().items()}
    rows = [
        {"id": id_of("user", place), "phone": phones[place], "name": name_of(role, number), "role": role}
        | {"level": _level(role, number)}
        for place, (role, number) in places().items()
    ]
    await connection.execute(_PEOPLE, rows)
    found = await connection.execute(_IDS, {"phones": list(phones.values())})
    ids: dict[str, str] = {row.phone: row.id for row in found}
    return {place: ids[phone] for place, phone in phones.items()}


def _level(role: Role, number: int) -> str:
    if role != "patient":
        return "basic"
    return "premium" if number % 7 == 0 else "professional" if number % 5 == 0 else "basic"
