"""The demo's people and what they say: fixed texts, so that every installation shows the same. No real person is meant."""

from dataclasses import dataclass

from hub.accounts.model import Role
from hub.messaging.model import Body, CardBody, EntryType, Kind, ReactBody, RecallBody, TextBody

# Role → first phone and how many (contract, section 8).
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


def name_of(role: Role, number: int) -> str:
    """Always the same name for the same place in the cast. 50 and 39 have no common factor, so names hardly repeat."""
    place = list(CAST).index(role) * 17 + number * 7
    given = (place * 5 + number) % (len(GIVEN) // 2)
    return SURNAMES[place % len(SURNAMES)] + GIVEN[2 * given : 2 * given + 2]


@dataclass(frozen=True, slots=True)
class Line:
    """Something said. `who` is a place in the cast (`p1`: the first patient), `target` a line of the same talk, from 1."""

    who: str
    body: Body
    type: EntryType = EntryType.TEXT
    target: int | None = None


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation; the first of `people` owns a group and is the patient in care. `unread`: what they have not read."""

    name: str
    kind: Kind
    people: tuple[str, ...]
    lines: tuple[Line, ...]
    minutes_ago: int
    title: str = ""
    unread: int = 0


def say(who: str, words: str) -> Line:
    return Line(who, TextBody(text=words))


TALKS = (
    Talk(
        "care-1",
        Kind.CARE,
        ("p1", "c1", "d1", "s1"),
        title="陪诊服务 · 消化内科复诊",
        minutes_ago=3,
        unread=2,
        lines=(
            say("s1", "您好，您预约的消化内科复诊陪诊已安排，陪诊师会提前一天与您联系。"),
            Line(
                "s1",
                CardBody(
                    card="order", id="demo-order-1", title="全程陪诊（半天）", summary="周四 08:30 门诊楼三层消化内科"
                ),
                EntryType.CARD,
            ),
            say("c1", "您好，我是这次的陪诊师。明早八点我在门诊楼东门等您，穿蓝色马甲。"),
            say("p1", "好的，谢谢。需要空腹吗？"),
            say("c1", "如果要抽血和做胃镜都需要空腹，今晚十点以后请不要进食。我再跟医生确认一下。"),
            say("d1", "这次只复查血常规和碳十三呼气试验，空腹四小时以上即可，早上可以少量喝水。"),
            Line("p1", ReactBody(emoji="👍"), EntryType.REACT, target=6),
            say("p1", "明白了。正在吃的奥美拉唑要停吗？"),
            say("d1", "呼气试验前需要停两周。您上次是什么时候停的药？"),
            say("p1", "上上周二就停了，应该够两周了。"),
            say("d1", "够了，明天正常做。"),
            say("c1", "好的，我已经把检查顺序排好：先抽血，再做呼气试验，大约十点半结束。"),
            say("p1", "麻烦您了，我女儿也在群里就好了，她总是不放心。"),
            say("s1", "可以的，您在“我的家人”里添加她并同意授权，她就能看到陪诊进度。"),
            say("c1", "我已到东门，您慢慢来，不着急。"),
        ),
    ),
    Talk(
        "care-2",
        Kind.CARE,
        ("p2", "c2", "s2"),
        title="陪诊服务 · 骨科术后换药",
        minutes_ago=1500,
        lines=(
            say("s2", "您好，本次换药陪诊由下面这位陪诊师负责。"),
            say("c2", "您好，请问您现在用拐杖还是轮椅？我好提前借。"),
            say("p2", "用拐杖，走远了有点累。"),
            say("c2", "那我先在一楼服务台借好轮椅，下午两点在西门接您。"),
            say("p2", "太好了，谢谢。"),
            say("c2", "换药结束了，伤口愈合得不错，医生说一周后拆线。"),
            say("c2", "回家路上小心，注意事项我已经拍照发给您女儿了。"),
            say("p2", "已经到家了，今天辛苦您。"),
            say("s2", "本次服务已完成，欢迎您对陪诊师进行评价。"),
        ),
    ),
    Talk(
        "group-1",
        Kind.GROUP,
        ("d2", "p1", "p3", "p4", "p5", "s1"),
        title="糖尿病随访小组",
        minutes_ago=45,
        unread=1,
        lines=(
            say("d2", "大家好，这个小组用来记录血糖和交流饮食，请每周至少报两次空腹血糖。"),
            say("p3", "今天早上空腹 6.8。"),
            say("p4", "我 7.9，昨晚吃了一小碗面条。"),
            say("d2", "面条升糖快，可以换成杂粮饭，先吃菜再吃主食。"),
            say("p5", "请问饭后多久测合适？"),
            say("d2", "从吃第一口饭算起一小时。"),
            Line("d2", TextBody(text="从吃第一口饭算起两小时。"), EntryType.EDIT, target=6),
            say("p1", "这周平均 6.5，比上个月好多了。"),
            Line("d2", ReactBody(emoji="💪"), EntryType.REACT, target=8),
            say("s1", "提醒：本周六上午九点线上讲座《冬季控糖与足部护理》，可在“服务”里报名。"),
            say("p4", "已报名。"),
            say("d2", "好的，低于 3.9 或者出现心慌出汗，请立即吃糖并联系我。"),
        ),
    ),
    Talk(
        "group-2",
        Kind.GROUP,
        ("d3", "d4", "d5", "s1", "s3"),
        title="心内科值班交接",
        minutes_ago=240,
        lines=(
            say("d3", "夜班平稳，三床凌晨两点血压 168/95，加用一次药后降到 142/88。"),
            say("d4", "收到，上午重点看三床，复查电解质。"),
            say("d5", "七床今天出院，出院小结我来写。"),
            say("s1", "七床家属预约了下午的陪诊，我来对接。"),
            say("d4", "动态心电图十一床排在九点半。"),
            say("s3", "好的，已通知十一床。"),
            say("d3", "我下班了，有事打电话。"),
        ),
    ),
    Talk(
        "direct-1",
        Kind.DIRECT,
        ("p1", "s1"),
        minutes_ago=600,
        lines=(
            say("p1", "您好，上次陪诊的发票怎么开？"),
            say("s1", "您好，在“我的订单”里打开该订单，点“申请发票”，填写抬头即可。"),
            say("p1", "抬头写个人可以吗？"),
            say("s1", "可以的，电子发票一般十分钟内发到您的邮箱。"),
            say("p1", "收到了，谢谢！"),
        ),
    ),
    Talk(
        "direct-2",
        Kind.DIRECT,
        ("c1", "d1"),
        minutes_ago=20,
        unread=1,
        lines=(
            say("c1", "医生您好，明天复诊的患者上午能不能先做呼气试验？她空腹太久容易头晕。"),
            say("d1", "可以，让她先去三层做呼气试验，抽血放在后面。"),
            say("c1", "好的，我来跟她说。"),
            say("d1", "另外请她把以往的胃镜报告带上。"),
        ),
    ),
    Talk(
        "direct-3",
        Kind.DIRECT,
        ("p2", "d6"),
        minutes_ago=90,
        unread=1,
        lines=(
            say("p2", "医生您好，拆线后多久可以洗澡？"),
            say("d6", "拆线后四十八小时，伤口干燥无渗出就可以淋浴，不要泡澡。"),
            say("p2", "这条发错了"),
            Line("p2", RecallBody(), EntryType.RECALL, target=3),
            say("p2", "那康复训练从什么时候开始呢？"),
            say("d6", "下周一开始，先做踝泵练习，每天三组，每组二十次，以不痛为度。"),
        ),
    ),
    Talk(
        "direct-4",
        Kind.DIRECT,
        ("c3", "p7"),
        minutes_ago=2900,
        lines=(
            say("p7", "下周三我妈妈要做白内障复查，您那天有空吗？"),
            say("c3", "有空的，您在小程序下单时选择我就可以。"),
            say("p7", "好的，已经下单。"),
            say("c3", "看到了。复查要散瞳，建议带一副墨镜，当天不要自己开车。"),
        ),
    ),
)
