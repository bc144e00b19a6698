"""A user's day: works along the schedule, reacts to what arrives, polls if nobody tells him."""

from collections.abc import Sequence
from typing import Final

from loadgen.client.message import NewMessage, OutgoingMessage
from loadgen.engine.client import Client
from loadgen.engine.routine import publish_free_busy, routines_of
from loadgen.engine.surroundings import Surroundings
from loadgen.engine.timers import Timer
from loadgen.engine.user import Attempt, User
from loadgen.measure.sample import Sample
from loadgen.workload.arrival import Schedule, ThinkTimes, falls_due

NS_PER_S: Final = 1_000_000_000
RETRY_NS: Final = NS_PER_S
"""Until a fetch for which there was no room is tried again."""
SHORTEST_POLL_NS: Final = NS_PER_S
SHORTEST_DELAY_NS: Final = NS_PER_S
"""However fast the day runs, nobody polls more often than once a second, or gathers news for less."""
AT_ONCE: Final = ThinkTimes(0, 0)


class Day:
    """What one user does from logging on until logging off. Polls and reactions outlast the schedule.

    All that he does of his own accord is due in the schedule's time, which stands during a pause; so do
    polls. Mail that arrives meanwhile is fetched, and thought about afterwards.
    """

    __slots__ = (
        "_around",
        "_closed",
        "_has_begun",
        "_news_ns",
        "_number",
        "_origin_ns",
        "_poll",
        "_poll_stood_ns",
        "_polls",
        "_public_news_ns",
        "_received",
        "_routines",
        "_schedule",
        "_send_timer",
        "_sends",
        "_until_ns",
        "user",
    )

    def __init__(self, user: User, schedule: Schedule, *, closed: bool, around: Surroundings) -> None:
        self.user = user
        self._schedule = schedule
        self._closed = closed
        self._around = around
        # Drawn before anybody connects, so that the day begins without a stall; the first is last.
        self._sends = list(reversed(schedule.sends(user.index)))
        self._send_timer: Timer | None = None
        self._has_begun = False
        self._routines = routines_of(user, schedule, around)
        self._origin_ns = 0
        self._news_ns: int | None = None
        self._public_news_ns: int | None = None
        self._received = 0
        self._number = 0
        self._until_ns = 0
        self._poll: Timer | None = None
        self._polls = False
        self._poll_stood_ns = 0
        """How long the schedule had stood when the poll was put where it is."""
        user.on_notify = self._notified
        user.on_public_news = self._public_folders_notified
        user.on_logged_on = self._logged_on

    def begin(self, origin_ns: int, until_ns: int) -> None:
        """Starts the schedule: its times count from ``origin_ns``; from ``until_ns`` on nothing is sent.

        Both are of the schedule's time.
        """
        self._start(origin_ns, until_ns, None)

    def leave(self) -> None:
        """The user goes for a while: what would be due meanwhile was not planned, and nobody polls."""
        self.cut_short()
        self.stop_polling()
        self._has_begun = False

    def cut_short(self) -> None:
        """Ends the schedule before its time: what would have been due was not planned."""
        if self._has_begun:
            self._around.recorder.plan("send_message", -len(self._sends))
        for routine in self._routines.values():
            routine.leave()
        self.end_schedule()

    def _join(self) -> None:
        """Starts in the middle of a day that others have begun; what was due before is not planned."""
        if self._around.day is None:
            return
        origin_ns, until_ns = self._around.day
        now_ns = self._around.schedule.time()
        sends = self._schedule.sends(self.user.index)
        self._sends = [send for send in reversed(sends) if origin_ns + send.due_ns >= now_ns]
        self._start(origin_ns, until_ns, now_ns)

    def _start(self, origin_ns: int, until_ns: int, since_ns: int | None) -> None:
        self._has_begun = True
        self._origin_ns, self._until_ns = origin_ns, until_ns
        self._around.recorder.plan("send_message", len(self._sends))
        self._await_send()
        for routine in self._routines.values():
            routine.begin(origin_ns, since_ns)
        if self._closed and self.user.group.profile.sent_per_day:
            self._send_closed()

    def end_schedule(self) -> None:
        """Nothing new is sent, browsed, posted or published; polls and reactions go on."""
        self._sends.clear()
        if self._send_timer is not None:
            self._send_timer.cancel()
        for routine in self._routines.values():
            routine.end_schedule()
        self._until_ns = 0

    def _await_send(self) -> None:
        if self._sends:
            due_ns = self._origin_ns + self._sends[-1].due_ns
            self._send_timer = self._around.schedule.at(due_ns, self._send_due)

    def _send_due(self, due_ns: int, fired_ns: int) -> None:
        number = self._sends.pop().number
        self._around.recorder.lag("send_message", due_ns, fired_ns)
        if self._around.sends.take(fired_ns):
            self.user.begin("send_message", due_ns, "mail", lambda client: self._send(client, number, due_ns))
        else:
            self._around.recorder.skip("send_message")
        self._await_send()

    def _send_closed(self) -> None:
        """The closed shape: the next message is due when the last one has been sent."""
        scheduled_ns, now_ns = self._around.schedule.time(), self._around.clock()
        if scheduled_ns >= self._until_ns:
            return
        if self._around.schedule.time.stands:
            self._send_closed_at(scheduled_ns)
            return
        if not self._around.sends.take(now_ns):
            self._send_closed_at(scheduled_ns + RETRY_NS)
            return
        number, self._number = self._number, self._number + 1

        async def send_then_next(client: Client) -> None:
            await self._send(client, number, now_ns)
            self._around.loop.call_soon(self._send_closed)

        self._around.recorder.plan("send_message")
        if not self.user.begin("send_message", now_ns, "mail", send_then_next):
            self._send_closed_at(scheduled_ns + RETRY_NS)

    def _send_closed_at(self, scheduled_ns: int) -> None:
        self._around.schedule.at(scheduled_ns, lambda _due, _fired: self._send_closed())

    async def _send(self, client: Client, number: int, due_ns: int) -> None:
        user, around = self.user, self._around
        present = around.present
        planned = self._schedule.message(user.index, number, present)
        recipients = tuple(around.account(index) for index in planned.recipients)
        message = OutgoingMessage(around.stamp + planned.key, recipients, planned.size)
        attempt = await user.perform("send_message", due_ns, self._compose(client, message))
        if attempt.error is None:
            told = tuple(index for index in planned.recipients if present is None or index < present)
            around.recorder.submitted(message.key, len(told), attempt.sample.ended_ns, told)

    async def _compose(self, client: Client, message: OutgoingMessage) -> None:
        """Resolving is an operation of its own within sending, due when the user comes to it."""
        to_resolve = self.user.group.client.directory.names_resolved_per_message
        if to_resolve:
            async with self.user.turn("directory"):
                self._around.recorder.plan("resolve_names")
                due_ns = self._around.clock()
                resolving = client.resolve_names(message.recipients[:to_resolve])
                attempt = await self.user.perform("resolve_names", due_ns, resolving)
            if attempt.error is not None:
                raise attempt.error
        await client.send_message(message)

    def _notified(self) -> None:
        """News is fetched at once, or after the delay in which a cached client gathers more of it.

        What comes while a fetch waits is fetched by it too.
        """
        if self._news_ns is None:
            self._news_ns = self._around.clock()
            if self.user.state == "logged_on":
                self._await_fetch(self._news_ns)

    def _await_fetch(self, told_ns: int) -> None:
        client = self.user.client
        delay_s = client.synchronisation_delay_s if client is not None else 0.0
        if not delay_s:
            self._fetch(told_ns, told_ns)
            return
        delay_ns = max(SHORTEST_DELAY_NS, round(delay_s / self._around.poll_speed * NS_PER_S))
        schedule = self._around.schedule
        scheduled_ns = schedule.time.of(told_ns) + delay_ns
        if scheduled_ns <= schedule.time():  # the user was away meanwhile: no lag of ours
            self._fetch(told_ns, told_ns + delay_ns)
            return

        def fetch(due_ns: int, fired_ns: int) -> None:
            self._around.recorder.lag("receive_message", due_ns, fired_ns)
            self._fetch(told_ns, due_ns)

        schedule.at(scheduled_ns, fetch)

    def _fetch(self, told_ns: int, due_ns: int) -> None:
        """What has come must be fetched: with no room for it now, it is tried again, and the wait counts."""

        async def fetch(client: Client) -> None:
            await self._fetch_notified(client, told_ns, due_ns)

        if self.user.offer("receive_message", due_ns, "mail", fetch):
            return
        if self.user.is_at_work:
            self._around.timers.at(
                self._around.clock() + RETRY_NS, lambda _due, _fired: self._fetch(told_ns, due_ns)
            )
        else:
            self._news_ns = None

    async def _fetch_notified(self, client: Client, told_ns: int, due_ns: int) -> None:
        self._news_ns = None
        attempt = await self.user.attempt("receive_message", due_ns, client.fetch_news())
        if attempt.result is None:
            self._around.recorder.plan("receive_message")
            self.user.record(attempt)
            return
        self._receive(attempt, attempt.result, told_ns)

    def _receive(
        self,
        attempt: Attempt[Sequence[NewMessage]],
        news: Sequence[NewMessage],
        told_ns: int,
        stood_ns: int = 0,
    ) -> None:
        """Books the first message as told of at ``told_ns``, the others as found when the answer came.

        What a pause put off by ``stood_ns`` was there to be found so much earlier.
        """
        recorder, fetched = self._around.recorder, attempt.sample
        recorder.plan("receive_message", len(news))
        for message in news:
            recorder.record(Sample("receive_message", fetched.due_ns, fetched.started_ns, fetched.ended_ns))
            if not message.key.startswith(self._around.stamp):
                continue
            if message.key:
                recorder.arrived(message.key, self.user.index, told_ns)
            self._react(message, fetched.ended_ns)
            told_ns = fetched.ended_ns - stood_ns

    def _react(self, message: NewMessage, received_ns: int) -> None:
        """The user's n-th message is read, deleted, both or neither, as often as the profile says."""
        number, self._received = self._received, self._received + 1
        profile, schedule = self.user.group.profile, self._around.schedule
        thought_ns = schedule.time.of(received_ns)
        think = AT_ONCE if self._closed else self._think_times(message.key)
        if falls_due(number, profile.read_per_day, profile.received_per_day):
            self._around.reactions += 1
            schedule.at(thought_ns + think.read_ns, lambda due, fired: self._read_due(message, due, fired))
        if falls_due(number, profile.deleted_per_day, profile.received_per_day):
            self._around.reactions += 1
            schedule.at(
                thought_ns + think.delete_ns, lambda due, fired: self._delete_due(message, due, fired)
            )

    def _think_times(self, key: str) -> ThinkTimes:
        return self._schedule.think_times(self.user.index, key.removeprefix(self._around.stamp))

    def _read_due(self, message: NewMessage, due_ns: int, fired_ns: int) -> None:
        async def read(client: Client) -> None:
            await self.user.perform(
                "read_message", due_ns, client.read_message(message.message_id, message.key)
            )

        self._around.reactions -= 1
        if self.user.state == "away":
            return
        self._arrive("read_message", due_ns, fired_ns)
        self.user.begin("read_message", due_ns, "mail", read)

    def _delete_due(self, message: NewMessage, due_ns: int, fired_ns: int) -> None:
        async def delete(client: Client) -> None:
            await self.user.perform("delete_message", due_ns, client.delete_message(message.message_id))

        self._around.reactions -= 1
        if self.user.state == "away":
            return
        self._arrive("delete_message", due_ns, fired_ns)
        self.user.begin("delete_message", due_ns, "mail", delete)

    def _arrive(self, operation: str, due_ns: int, fired_ns: int) -> None:
        recorder = self._around.recorder
        recorder.plan(operation)
        recorder.lag(operation, due_ns, fired_ns)

    def _public_folders_notified(self) -> None:
        """What the public folder store tells is fetched at once, else nobody would wait for the next."""
        if self._public_news_ns is None:
            self._public_news_ns = self._around.clock()
            if self.user.state == "logged_on":
                self._fetch_public_news(self._public_news_ns)

    def _fetch_public_news(self, told_ns: int) -> None:
        async def fetch(client: Client) -> None:
            self._public_news_ns = None
            attempt = await self.user.attempt("browse_public_folder", told_ns, client.fetch_public_news())
            if attempt.error is not None:
                self._around.recorder.plan("browse_public_folder")
                self.user.record(attempt)

        if self.user.offer("browse_public_folder", told_ns, "public_folder", fetch):
            return
        if self.user.is_at_work:
            self._around.timers.at(
                self._around.clock() + RETRY_NS, lambda _due, _fired: self._fetch_public_news(told_ns)
            )
        else:
            self._public_news_ns = None

    def _logged_on(self) -> None:
        """Does what Outlook does first: it fetches what was announced meanwhile, polls, and publishes."""
        if self._news_ns is not None:
            self._await_fetch(self._news_ns)
        if self._public_news_ns is not None:
            self._fetch_public_news(self._public_news_ns)
        self._start_polling()
        if not self._has_begun:
            self._join()
        if self.user.group.client.public_folder.free_busy == "publish":
            self._around.recorder.plan("publish_free_busy")
            self._routines["publish_free_busy"].do(self._around.clock(), publish_free_busy)

    def _poll_interval_ns(self, client: Client) -> int:
        return max(SHORTEST_POLL_NS, round(client.poll_interval_s / self._around.poll_speed * NS_PER_S))

    def _poll_due(self, due_ns: int, fired_ns: int) -> None:
        self._poll = None
        stood_ns = self._around.schedule.time.stood_ns - self._poll_stood_ns
        self._arrive("poll_mailbox", due_ns, fired_ns)
        if not self.user.begin(
            "poll_mailbox", due_ns, "mail", lambda client: self._poll_mailbox(client, due_ns, stood_ns)
        ):
            self._await_poll(due_ns)

    async def _poll_mailbox(self, client: Client, due_ns: int, stood_ns: int) -> None:
        attempt = await self.user.perform("poll_mailbox", due_ns, client.fetch_news())
        if attempt.result is not None:
            self._receive(attempt, attempt.result, attempt.sample.ended_ns - stood_ns, stood_ns)
        self._await_poll(due_ns)

    def _await_poll(self, last_due_ns: int) -> None:
        """The next poll comes on the beat; a beat that passed during a slow poll is let go."""
        client = self.user.client
        if client is None or not self._polls or self.user.state != "logged_on":
            return
        interval_ns, time = self._poll_interval_ns(client), self._around.schedule.time
        last_ns = time.of(last_due_ns)
        beats = 1 + max(0, (time() - last_ns) // interval_ns)
        self._poll_at(last_ns + beats * interval_ns)

    def _poll_at(self, scheduled_ns: int) -> None:
        self._poll_stood_ns = self._around.schedule.time.stood_ns
        self._poll = self._around.schedule.at(scheduled_ns, self._poll_due)

    def poll_anew(self) -> None:
        """Puts a poll that is to come where the interval of now has it."""
        if self._poll is not None:
            self._start_polling()

    def _start_polling(self) -> None:
        self.stop_polling()
        client = self.user.client
        if client is not None and not client.notifies:
            self._polls = True
            self._poll_at(self._around.schedule.time() + self._poll_interval_ns(client))

    def stop_polling(self) -> None:
        """Asks no more: who takes leave would have no turn for it. A poll that is under way ends."""
        self._polls = False
        if self._poll is not None:
            self._poll.cancel()
            self._poll = None
