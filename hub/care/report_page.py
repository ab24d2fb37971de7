"""A health report as a page to print: complete in itself, in Chinese, without scripts or anything from elsewhere. Pure."""

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from html import escape
from operator import attrgetter

from hub.care.indicator import describe
from hub.care.model import RecordType
from hub.care.plot import Line, Plot, Shade, svg
from hub.care.report import Chart, Figures, Metric, Recommendation, Report, Risk
from hub.care.report_view import reference_label, series_label
from hub.care.trend import SHANGHAI
from hub.care.trend_summary import UNITS
from hub.platform.text import text

STYLE = """
@page { size: A4; margin: 16mm 14mm; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 16px; max-width: 182mm; color: #222; background: #fff;
  font: 10.5pt/1.6 "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "Source Han Sans SC", sans-serif; }
h1 { margin: 0 0 4px; font-size: 20pt; }
h2 { margin: 18px 0 6px; padding-bottom: 2px; border-bottom: 1px solid #999; font-size: 13pt; break-after: avoid; }
h3 { margin: 10px 0 2px; font-size: 11pt; break-after: avoid; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 12px; margin: 0; }
dt { color: #666; }
dd { margin: 0; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; font-size: 9.5pt; }
th, td { padding: 3px 6px; border: 1px solid #bbb; text-align: right; white-space: nowrap; }
th:first-child, td:first-child, th:last-child, td:last-child { text-align: left; }
td:last-child { white-space: normal; }
thead { display: table-header-group; background: #f0f3f6; }
tr, li, figure, svg { break-inside: avoid; }
ul { margin: 0; padding-left: 1.4em; }
figure { margin: 8px 0; }
svg { width: 100%; height: auto; }
.note { margin-top: 18px; padding-top: 6px; border-top: 1px solid #999; color: #555; font-size: 9pt; }
.warning, .urgent, .high, .critical { font-weight: bold; }
@media print { body { padding: 0; max-width: none; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
_STYLE_HASH = b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
# Only our own style sheet, by its hash; no scripts, no pictures, no frames, nothing that is loaded or sent.
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; sandbox allow-modals",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
DISCLAIMER = (
    "本报告由系统根据已记录的数据自动生成，仅供参考，不构成诊断或治疗建议，也不能代替医生的判断。"
    "请勿据此自行用药、停药或调整剂量。如有不适，请及时就医；出现胸痛、呼吸困难、意识不清等紧急情况，请立即拨打 120。"
)
_COLUMNS = ("项目", "次数", "最近", "平均", "最高", "最低", "较上期", "趋势", "评估")


def page(report: Report, name: str, made_at: datetime) -> str:
    """The page; `name` is shown as it is given, so mask it first where it must be."""
    title = f"健康报告　{name or '未填写姓名'}"
    facts = {
        "姓名": name or "未填写",
        "统计日期": f"{report.first:%Y年%m月%d日} 至 {report.last:%Y年%m月%d日}",
        "生成时间": f"{made_at.astimezone(SHANGHAI):%Y年%m月%d日 %H:%M}（北京时间）",
    }
    body = "".join(
        [
            "<h1>健康报告</h1>",
            f"<dl>{''.join(f'<dt>{key}</dt><dd>{escape(value)}</dd>' for key, value in facts.items())}</dl>",
            _section("指标概览", _metrics(report.metrics)),
            _section("风险提示", _list(map(_risk, report.risks)) or "<p>记录中没有需要提示的风险。</p>"),
            _section("健康建议", _list(map(_advice, report.recommendations))),
            _section("趋势图", "".join(_figure(each, report) for each in report.charts)) if report.charts else "",
            _section("参考界值来源", _list(f"<li>{escape(text(each))}</li>" for each in report.sources))
            if report.sources
            else "",
            f'<p class="note">{DISCLAIMER}</p>',
        ]
    )
    return (
        '<!DOCTYPE html>\n<html lang="zh-CN"><head><meta charset="utf-8"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>{body}</body></html>\n"
    )


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{content}</section>"


def _list(items: Iterable[str]) -> str:
    joined = "".join(items)
    return f"<ul>{joined}</ul>" if joined else ""


def _metrics(metrics: Sequence[Metric]) -> str:
    if not metrics:
        return "<p>这段时间没有记录。</p>"
    head = "".join(f'<th scope="col">{column}</th>' for column in _COLUMNS)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(map(_metric, metrics))}</tbody></table>"


def _metric(metric: Metric) -> str:
    upper, lower = metric.figures, metric.diastolic
    cells = [
        f"{text(f'type_{metric.type}')}（{unit_name(metric.unit)}）",
        str(metric.count),
        _pair(upper, lower, attrgetter("latest")),
        _pair(upper, lower, attrgetter("average")),
        _pair(upper, lower, attrgetter("max")),
        _pair(upper, lower, attrgetter("min")),
        _change(upper, lower),
        text(f"trend_{metric.direction}"),
        describe(metric.assessment, "zh")[0].description,
    ]
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def _pair(upper: Figures, lower: Figures | None, of: Callable[[Figures], float]) -> str:
    return "/".join(number(of(each)) for each in (upper, lower) if each is not None)


def _change(upper: Figures, lower: Figures | None) -> str:
    changes = [each.change for each in (upper, lower) if each is not None]
    return "/".join("—" if change is None else f"{round(change, 1):+.10g}" for change in changes)


def number(value: float) -> str:
    """With one decimal at most."""
    return f"{round(value, 1):.10g}"


def unit_name(unit: str) -> str:
    return UNITS.get(unit, (unit, unit))[0]


def _risk(risk: Risk) -> str:
    indicators, found = describe(risk.worst, "zh")
    reasons = f"依据：{'；'.join(found.reasons)}。" if found.reasons else ""
    words = (
        f"{risk.count} 次（共 {risk.of} 次）需要注意，最严重的一次在 "
        f"{risk.recorded_at.astimezone(SHANGHAI):%Y年%m月%d日 %H:%M}：{indicators.description}。{reasons}"
    )
    kind = f"{text(f'type_{risk.type}')}　{text(f'risk_{risk.level}')}风险"
    return f'<li><span class="{risk.level}">{escape(kind)}</span>　{escape(words)}</li>'


def _advice(said: Recommendation) -> str:
    about = "" if said.type is None else f"{text(f'type_{said.type}')}　"
    level = said.advice.level
    return f'<li><span class="{level}">{escape(about + text(f"advice_{level}"))}</span>　{escape(said.advice.zh)}</li>'


def _figure(chart: Chart, report: Report) -> str:
    title = _title(chart.type)
    lines = [
        Line(series_label(each.quantity, "zh"), [(at.astimezone(SHANGHAI), value) for at, value in each.points])
        for each in chart.series
    ]
    shades = [Shade(reference_label(each, "zh"), each.low, each.high) for each in chart.references]
    picture = svg(Plot(title, unit_name(chart.unit), report.first, report.last, lines, shades))
    return f"<figure><h3>{escape(title)}</h3>{picture}</figure>"


def _title(type: RecordType) -> str:
    return text(f"type_{type}")
