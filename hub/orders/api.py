"""The HTTP handlers of services, orders, appointments, reminders and reviews; payments have their own list."""

from litestar.types import ControllerRouterHandler

from hub.orders import appointment_api, booking_api, order_api, reminder_api, review_api, service_api

handlers: list[ControllerRouterHandler] = [
    *service_api.handlers,
    *booking_api.handlers,
    *appointment_api.handlers,
    *order_api.handlers,
    *review_api.handlers,
    *reminder_api.handlers,
]
