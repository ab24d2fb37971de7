"""What tells who somebody is, taken out of a report before it leaves for an outside service. Pure.

Told by its place (a field or a label), by its form (phone, identity card, date, number of a case, address), or because it is
known: the names of the people concerned. A name that stands alone, without any of these, is told by its family name; so a
word may be taken out that was none. What is not text about health is not missed.
"""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence

from hub.content.privacy_word import FAMILY_NAMES, NO_NAMES
from hub.content.reading import VALUE_KEYS, Json

GONE = "〔隐去〕"

# Fields whose whole value goes. Chinese and long words are sought in the field's name, short ones must be it.
_FIELDS = re.compile(
    "姓名|患者|病人|受检|电话|手机|身份证|证件|出生|生日|住院号|门诊号|病历|病案|登记号|就诊|体检号|卡号|医保|社保|床号|条码|编号"
    "|标本号|样本号|流水号|地址|住址|籍贯|户籍|医院|医生|医师|检验者|审核|报告者|操作员|联系|家属|邮箱|邮件|微信|单位名称|工作单位|日期|时间"
    "|phone|mobile|birth|address|idcard|idnumber|identity|patient|doctor|physician|email|wechat|contact|username|fullname"
    "|realname|hospital|date|account"
    "|^(?:tel|id|no|qq|sn|dob|mrn|user|userid|nickname|relation|姓|名|名字)$"
)
_BESIDE_A_VALUE = ("name", "项目", "item")  # names a person, unless it names what was measured

_LABEL = (
    r"(?:姓\s*名|患者|病人|受检者|被检者|联系人|家属|监护人|医生|医师|检验者?|审核者?|报告者|操作员|签名|签字|主治|送检|申请|陪同|电话|手机|微信|qq|邮箱|email|name"
    r"|住院|门诊|病历|病案|登记|就诊|体检|就诊卡|医保|社保|床|条码|标本|样本|流水|身份证|证件|编|卡)"
    r"(?:姓名|医生|医师|号码|编号|卡号|者|人|员|号)?"
)
_HAN = "\u4e00-\u9fff"
_NAME = rf"(?:{FAMILY_NAMES})[{_HAN}]{{1,2}}"
_REST = r"[^\s,;。|、]{1,40}"

# What goes, in this order: forms before labels, whose value is one word only. A group keeps what stands before.
_FORMS = tuple(
    re.compile(pattern)
    for pattern in (
        r"[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,32}){1,4}",
        r"(?<!\d)\d{17}[\dx](?!\d)",
        r"(?<!\d)(?:\+?86[\s-]?)?1[3-9]\d[\s-]?\d{4}[\s-]?\d{4}(?!\d)",
        r"(?<!\d)0\d{2,3}[\s-]?\d{7,8}(?!\d)",
        r"(?<!\d)(?:19|20)\d{2}\s?[-/.年]\s?\d{1,2}(?:\s?[-/.月]\s?\d{1,2}\s?日?|\s?月)(?:\s?\d{1,2}:\d{2}(?::\d{2})?)?",
        r"(?<![a-z0-9])[a-z]{1,4}-?\d{5,}",
        r"(?<![\d.])\d{6,}(?!\.\d)",
        rf"({_LABEL}\s*[:=]\s*){_REST}",
        r"((?:住院|门诊|病历|病案|登记|就诊|体检|医保|社保|条码|标本|样本|流水|身份证|证件)(?:卡号|编号|号码|号)\s?)[a-z0-9-]{2,30}",
        r"((?:地址|住址|籍贯|户籍|现住|家住|住在|工作单位)\s*:?\s*)[^\n,;。]{2,60}",
        r"(出生(?:日期|年月|于)?\s*:?\s*)[^\n,;。]{1,20}",
        rf"[{_HAN}]{{2,8}}(?:省|市|自治区|自治州)[{_HAN}]{{1,10}}(?:区|县|市|旗|镇|乡|街道|路|街|村)[{_HAN}\w-]{{0,40}}",
        rf"[{_HAN}]{{2,10}}(?:路|街|道|巷|弄|胡同|小区|村)\s?\d+\s?(?:号|弄|巷|栋|幢|组)[{_HAN}\w-]{{0,30}}",
        r"\d+\s?(?:号楼|栋|幢|单元)\s?\d*\s?(?:室|号)?",
        rf"[{_HAN}]{{2,20}}?(?:医院|卫生院|诊所|卫生服务中心|体检中心|门诊部)",
        rf"[{_HAN}]{{2,6}}·[{_HAN}]{{2,8}}(?:·[{_HAN}]{{2,8}})?",
    )
)
_NEVER = tuple(
    re.compile(pattern) for pattern in (r"[\w.+-]+@[\w-]+\.", r"(?<!\d)\d{17}[\dx](?!\d)", r"(?<!\d)1[3-9]\d{9}(?!\d)")
)
_TITLED = re.compile(
    rf"(?:{_NAME}|(?:{FAMILY_NAMES}))(?=先生|女士|小姐|同志|大爷|大妈|阿姨|叔叔|医生|医师|主任|教授|护士|大夫)"
)
_CALLED = re.compile(
    rf"((?:姓名|患者|病人|我叫|名叫|我是|本人|儿子|女儿|父亲|母亲|爸爸|妈妈|丈夫|妻子|爱人|老公|老婆|家属)\s?)({_NAME})"
)
_BEFORE_SEX = re.compile(rf"(?<![{_HAN}])({_NAME})(?=\s?,?\s?[男女](?![{_HAN}]))")
_ALONE = re.compile(rf"(?<![{_HAN}])({_NAME})(?=的|报告|[^{_HAN}]|$)")


def without_personal_data(data: Json, known: Collection[str]) -> Json:
    """The same report without what tells who somebody is. `known` are names and numbers that must go wherever they are."""
    sought = sorted({_plain(each) for each in known if len(_plain(each)) > 1}, key=len, reverse=True)
    return _without(data, sought)


def _without(data: Json, known: Sequence[str]) -> Json:
    if isinstance(data, str):
        return _scrubbed(data, known)
    if isinstance(data, Mapping):
        folded = {_folded(key) for key in data}
        measured = bool(folded & set(VALUE_KEYS))
        return {
            _scrubbed(key, known): GONE if _is_personal(key, measured) else _without(value, known)
            for key, value in data.items()
        }
    if isinstance(data, Sequence):
        return [_without(each, known) for each in data]
    # A number may be a phone or the number of a case, too.
    return _scrubbed(str(data), known) if isinstance(data, int | float) and abs(data) > 99_999 else data


def _is_personal(key: str, measured: bool) -> bool:
    folded = _folded(key)
    if measured and folded in _BESIDE_A_VALUE:
        return False
    return folded == "name" or _FIELDS.search(folded) is not None


def _folded(key: str) -> str:
    return re.sub(r"[\W_]+", "", _plain(key))


def _scrubbed(text: str, known: Sequence[str]) -> str:
    text = _plain(text)
    for each in known:
        text = text.replace(each, GONE)
    for form in _FORMS:
        text = form.sub(lambda match: (match[1] if match.re.groups else "") + GONE, text)
    text = _TITLED.sub(GONE, text)
    text = _CALLED.sub(lambda match: match[0] if _is_word(match, 2) else match[1] + GONE, text)
    for name in (_BEFORE_SEX, _ALONE):
        text = name.sub(lambda match: match[0] if _is_word(match, 1) else GONE, text)
    return text


def _is_word(match: re.Match[str], group: int) -> bool:
    """Whether what looks like a name begins a word about health: 「高血压」 in 「患者高血压病史」."""
    rest = match.string[match.start(group) : match.start(group) + 8]
    return rest.startswith(NO_NAMES)


def _plain(text: str) -> str:
    """In form KC and lower case; without signs that are not seen, which could part a number."""
    folded = unicodedata.normalize("NFKC", text).lower()
    return "".join(sign for sign in folded if unicodedata.category(sign) != "Cf")


def is_personal(text: str) -> bool:
    """Whether a phone, an identity card or an address of mail is still there: then nothing may leave."""
    return any(form.search(_plain(text)) for form in _NEVER)
