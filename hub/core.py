"""The core's areas put together: what each stands on, what Litestar hands to the handlers, and who reacts to which event."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from litestar.types import ControllerRouterHandler

from channels.port import Channel
from hub.accounts import admin_api, audit_api, consent_api, relation_api
from hub.accounts.access import Access
from hub.accounts.admin_actions import Administration
from hub.accounts.audit_actions import AuditTrail
from hub.accounts.consent_actions import Consents
from hub.accounts.relation_actions import Relations
from hub.alerts import api as alerts_api
from hub.alerts import duty_api
from hub.alerts.actions import Alerts
from hub.alerts.duty_actions import Duties
from hub.alerts.emergency_reaction import EmergencyReactions
from hub.alerts.ladder_actions import AlertLadders
from hub.alerts.reaction import AlertReactions
from hub.broadcasts import api as broadcasts_api
from hub.broadcasts.actions import Broadcasts
from hub.care import occurrence_api, plan_api, profile_api, record_api, report_api, trend_api
from hub.care.occurrence_actions import PlanOccurrences
from hub.care.plan_actions import HealthPlans
from hub.care.profile_actions import HealthProfiles
from hub.care.record_actions import HealthRecords
from hub.care.report_actions import HealthReports
from hub.care.trend_actions import HealthTrends
from hub.content import api as content_api
from hub.content import article_api, interpretation_api
from hub.content.actions import Knowledge
from hub.content.interpretation_actions import Interpretations
from hub.content.openai import is_configured
from hub.content.reaction import InterpretationReactions
from hub.directory import api as directory_api
from hub.directory import edit_api as directory_edit_api
from hub.directory import import_api, schedule_api
from hub.directory.actions import Directory
from hub.directory.import_actions import Importer
from hub.messaging.actions import Messaging
from hub.notices import api as notices_api
from hub.notices.account_reaction import AccountReactions
from hub.notices.actions import Notices
from hub.notices.address_actions import NoticeAddresses
from hub.notices.callback import Callbacks
from hub.notices.class_actions import NoticeClasses
from hub.notices.class_book import ClassBook
from hub.notices.email_code import build_email_codes
from hub.notices.ledger_actions import Ledger
from hub.notices.preference_actions import NoticePreferences
from hub.notices.quota import WechatSubscriptions
from hub.notices.template_actions import NoticeTemplates
from hub.notices.template_book import TemplateBook
from hub.orders import api as orders_api
from hub.orders import payment_api
from hub.orders.actions import Orders
from hub.orders.payment_actions import Payments
from hub.orders.payment_provider import PaymentProvider
from hub.orders.payment_reaction import PaymentReactions
from hub.orders.payment_settlement import Till
from hub.orders.reaction import Reactions
from hub.orders.relation_reaction import RelationReactions
from hub.orders.reminder_reaction import AttendanceReactions
from hub.orders.schedule_reaction import ScheduleReactions
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.hot_read import HotReads
from hub.platform.outbox import Outbox
from hub.platform.settings import Settings
from hub.schedule import api as scheduler_api
from hub.schedule.actions import Schedule
from hub.security.audit import Audit
from hub.security.keyring import Keyring
from hub.security.sealing import Sealer
from hub.security.token import RevokedSessions
from hub.webhooks import api as webhooks_api
from hub.webhooks.actions import Webhooks


@dataclass(frozen=True, slots=True)
class Ground:
    """What every area of the core stands on."""

    settings: Settings
    database: Database
    keyring: Keyring
    sealer: Sealer
    clock: Clock
    hot_reads: HotReads
    outbox: Outbox
    messaging: Messaging
    access: Access
    audit: Audit
    revoked: RevokedSessions
    provider: PaymentProvider
    email: Channel | None = None
    begun: Callable[[str, str], None] = lambda dedupe_key, conversation: None
    """`Bell.note` where there are sockets."""


# Every HTTP handler of the core; each area's `api` lists its own.
handlers: list[ControllerRouterHandler] = [
    *relation_api.handlers,
    *consent_api.handlers,
    *admin_api.handlers,
    *audit_api.handlers,
    *directory_api.handlers,
    *directory_edit_api.handlers,
    *schedule_api.handlers,
    *import_api.handlers,
    *orders_api.handlers,
    *payment_api.handlers,
    *content_api.handlers,
    *article_api.handlers,
    *interpretation_api.handlers,
    *profile_api.handlers,
    *record_api.handlers,
    *trend_api.handlers,
    *report_api.handlers,
    *plan_api.handlers,
    *occurrence_api.handlers,
    *notices_api.handlers,
    *broadcasts_api.handlers,
    *webhooks_api.handlers,
    *scheduler_api.handlers,
    *duty_api.handlers,
    *alerts_api.handlers,
]


def build_core(ground: Ground) -> Mapping[str, object]:
    """Dependency name → the part that handlers get under it. Also subscribes the reactions to events."""
    orders = Orders(
        database=ground.database,
        sealer=ground.sealer,
        clock=ground.clock,
        access=ground.access,
        audit=ground.audit,
        outbox=ground.outbox,
        hot_reads=ground.hot_reads,
        messaging=ground.messaging,
        settings=ground.settings.orders,
    )
    alerts = _alerts(ground)
    _subscribe(ground, orders, alerts)
    directory = Directory(ground.database, ground.hot_reads, ground.outbox, ground.clock)
    return {
        "relations": Relations(ground.database, ground.outbox, ground.settings.accounts, ground.clock),
        "consents": Consents(ground.database, ground.clock),
        "administration": Administration(ground.database, ground.audit, ground.revoked, ground.clock),
        "audit_trail": AuditTrail(ground.database),
        "directory": directory,
        "importer": Importer(directory),
        "orders": orders,
        "payments": Payments(orders, Till(ground.database, ground.provider, ground.clock, ground.outbox)),
        "duties": Duties(ground.database, ground.audit, ground.clock),
        "alerts": alerts,
        "alert_ladders": AlertLadders(ground.database, ground.audit),
        "knowledge": Knowledge(ground.database, ground.hot_reads, ground.clock),
        **_care(ground),
        "schedule_status": Schedule(ground.database, ground.keyring.current, ground.audit),
        **_notices(ground),
    }


def _care(ground: Ground) -> Mapping[str, object]:
    """What deals with health data stands on the same five."""
    care = (ground.database, ground.sealer, ground.access, ground.audit, ground.clock)
    return {
        "interpretations": Interpretations(*care, ground.outbox, is_outside=is_configured(ground.settings.ai)),
        "health_profiles": HealthProfiles(*care),
        "health_records": HealthRecords(*care, ground.outbox),
        "health_trends": HealthTrends(*care),
        "health_reports": HealthReports(*care),
        "health_plans": HealthPlans(*care, ground.outbox),
        "plan_occurrences": PlanOccurrences(*care),
    }


def _notices(ground: Ground) -> Mapping[str, object]:
    settings, database, audit, clock = ground.settings, ground.database, ground.audit, ground.clock
    development = settings.accounts.sms_sender == "development"
    sender = build_email_codes(ground.email, configured=bool(settings.email.host), development=development)
    classes, templates = ClassBook(database, clock), TemplateBook(database, clock)
    long_term = frozenset(settings.wechat_message.long_term_templates.split())
    return {
        "notice_classes": NoticeClasses(database, audit),
        "notice_templates": NoticeTemplates(database, audit, settings.notices),
        "notice_preferences": NoticePreferences(database, classes),
        "notice_addresses": NoticeAddresses(database, audit, ground.keyring, settings.webpush, sender, clock),
        "notice_ledger": Ledger(database, audit, classes, clock),
        "callbacks": Callbacks(settings, database, templates, clock),
        "wechat_subscriptions": WechatSubscriptions(database, templates, long_term),
        "broadcasts": Broadcasts(database, ground.sealer, audit, clock),
        "webhooks": Webhooks(database, ground.sealer, audit, classes, clock, settings.notices),
    }


def _alerts(ground: Ground) -> Alerts:
    care = (ground.database, ground.sealer, ground.access, ground.audit, ground.clock)
    classes = ClassBook(ground.database, ground.clock)
    notices = Notices(ground.messaging, classes, ground.clock, ground.settings.notices, ground.begun)
    return Alerts(*care, ground.outbox, notices)


def _subscribe(ground: Ground, orders: Orders, alerts: Alerts) -> None:
    """Who reacts to what happened."""
    Reactions(orders).subscribe(ground.outbox)
    ScheduleReactions(orders).subscribe(ground.outbox)
    RelationReactions(orders).subscribe(ground.outbox)
    notices = alerts.notices
    PaymentReactions(notices).subscribe(ground.outbox)
    AttendanceReactions(notices).subscribe(ground.outbox)
    InterpretationReactions(notices).subscribe(ground.outbox)
    AccountReactions(notices).subscribe(ground.outbox)
    AlertReactions(alerts).subscribe(ground.outbox)
    EmergencyReactions(alerts).subscribe(ground.outbox)
