"""What people read and change of their own preferences. One use case, one transaction; a notice that is due later obeys it."""

from collections.abc import Mapping

from hub.notices import preference_store as store
from hub.notices.class_book import ClassBook
from hub.notices.notice_class import NoticeClass
from hub.notices.preference import Preference, checked
from hub.platform.database import Database
from hub.security.token import Principal


class NoticePreferences:
    """The use cases. One per process."""

    def __init__(self, database: Database, classes: ClassBook) -> None:
        self._database = database
        self._classes = classes

    async def read(self, who: Principal) -> tuple[Preference, Mapping[str, NoticeClass]]:
        """One's own, and the classes there are to choose among."""
        classes = await self._classes.all()
        async with self._database.transaction() as connection:
            return await store.read(connection, who.user), classes

    async def replace(self, who: Principal, wanted: Preference) -> tuple[Preference, Mapping[str, NoticeClass]]:
        """The whole of it; refused with the names of what is wrong, and then nothing is changed."""
        classes = await self._classes.all()
        preference = checked(wanted, classes)
        async with self._database.transaction() as connection:
            await store.write(connection, who.user, preference)
        return preference, classes
