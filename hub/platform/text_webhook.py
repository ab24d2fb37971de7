"""The catalogue's texts about webhooks of notices: why one is refused."""

WEBHOOKS: dict[str, tuple[str, str]] = {
    "webhook_url_invalid": (
        "应为 https 地址，不含用户名和 #，域名用 ASCII 字符",
        "An https address without user name or #, its host in ASCII",
    ),
    "webhook_url_inside": ("不能指向内部网络的地址", "Leads to an address inside the network"),
    "webhook_class_unknown": ("没有这个通知类别", "There is no such class of notices"),
    "webhooks_many": ("Webhook 数量已达上限（20 个）", "20 webhooks at most"),
}
