"""One flow on one channel: the interpreter's actions done, its results brought back. Shell, but it only sends.

The runner owns it, calls it from its own greenlet only, and tells it of events, results and time. The rules
are the interpreter's; what is here: an action is in flight at most once, nothing is sent to a channel that cannot be
driven yet, a completion is matched on our own Application-UUID, what waits for others is done beside and reported by
`post`, an application that outlasts its deadline is broken off before the next one is sent (executes nest), and
nothing is sent after `stop`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fsbridge.call.conversation.botrun import BotRun
from fsbridge.call.conversation.ears import Ears
from fsbridge.call.conversation.executor import BREAK_S, Executor, Watch, completed
from fsbridge.call.lifecycle.inputs import FlowEnded, FlowResult
from fsbridge.esl.errors import CommandFailed, EslError, EslNotSent, ModuleMissing
from fsbridge.esl.events import Event
from fsbridge.flow.document.model import FlowDocument
from fsbridge.flow.interpreter import interpreter
from fsbridge.flow.interpreter.actions import (
    Action,
    Dial,
    Execute,
    Fetch,
    FlowEnd,
    FlowOutcome,
    Heard,
    Listen,
    OpenStream,
    Refused,
    Rest,
    Rested,
    Result,
    Tell,
    TimedOut,
    Told,
    Unavailable,
)
from fsbridge.flow.interpreter.interpreter import Facts, FlowState, Left, Turn
from fsbridge.model.ids import ActionId, ChannelUuid, new_uuid

AWAY_S = 1.0
"""How often it is looked whether a node that is away is back, and how long it then is waited for what it tells."""


@dataclass(frozen=True, slots=True)
class FlowNews:
    """The end of something that was done beside the call's greenlet; for the call's mailbox."""

    action_id: ActionId
    result: Result


@dataclass(frozen=True, slots=True)
class Outside:
    """What a flow needs of the rest of the house.

    `fetch` blocks, so it is done `beside`. `dial` makes the `bridge` application's argument or raises ValueError;
    `bot_refusal` says why a URL may not be a bot's. `tell` keeps an event for the caller and says whether there is
    anybody to tell. `began`, `left` and `heard` are told of steps and of what met them, `called_back` that the channel
    was sent back into park.
    """

    fetch: Callable[[Fetch], Result]
    dial: Callable[[Dial], str]
    bot_refusal: Callable[[str], str | None]
    tell: Callable[[str, object], bool]
    beside: Callable[[str, Callable[[], None]], None]
    post: Callable[[FlowNews], None]
    began: Callable[[str, str], None]
    left: Callable[[Left], None]
    heard: Callable[[Heard], None]
    called_back: Callable[[], None]


@dataclass(slots=True)
class FlowRun:
    """The state of a running flow; `deadline` is monotonic seconds, `ended` is set once and for all.

    `driven` is the call's: whether an application that is sent to the channel now is run.
    """

    node: Executor
    channel: ChannelUuid
    outside: Outside
    ears: Ears
    driven: bool = False
    state: FlowState | None = None
    action: Action | None = None
    action_id: ActionId | None = None
    bot: BotRun | None = None
    ended: FlowEnded | None = None
    stopped: bool = False
    _until: float | None = None
    _run_until: float = 0.0
    _breaking: bool = False
    _held: bool = False
    _watch: Watch = field(default_factory=Watch)
    _cut: bool = False
    _was_away: bool = False

    @property
    def deadline(self) -> float | None:
        """When `on_time` has to be called next, if the flow waits for anything.

        No time passes for a flow whose channel cannot be driven: the call watches over that.
        """
        if self.stopped or self._until is None or not self.driven:
            return None
        bot = self.bot.deadline if self.bot is not None else None
        return min(each for each in (self._until, self._run_until, bot) if each is not None)

    def start(self, document: FlowDocument, variables: dict[str, object], facts: Facts, now: float) -> None:
        """Run the flow up to its first wait."""
        self._run_until = now + document.max_duration
        if document.listens:
            self.ears.open()
        self._follow(interpreter.start(document, variables, facts), now)

    def on_event(self, event: Event, now: float) -> None:
        """Take the completion of the action in flight, and what is heard; everything else is left alone."""
        if self.stopped:
            return
        if event.name == "CHANNEL_EXECUTE_COMPLETE":
            self._on_completion(event, now)
            return
        if self.bot is not None:
            self.bot.on_event(event, now)
            self._pass_bot_end(now)
            return
        self._cut = self._cut or event.name == "DTMF"
        if event.name == "CHANNEL_BRIDGE" and isinstance(self.action, Dial) and not self._breaking:
            self._until = now + self.action.talk_s
        self.ears.on_event(event)
        self._listen(now)

    def on_news(self, news: FlowNews, now: float) -> None:
        """Take the result of what was done beside."""
        if not self.stopped and news.action_id == self.action_id:
            self._resume(news.result, now)

    def drive(self, drivable: bool, now: float) -> None:
        """The channel takes applications from now on, so what was held back is sent; or it takes none for a while."""
        self.driven = drivable
        if not drivable or self.stopped or not self._held or self.action is None:
            return
        self._held = False
        result = self._begin(self.action, now)
        if result is not None:
            self._resume(result, now)

    def on_time(self, now: float) -> None:
        """Give the action in flight up, or the whole run."""
        if self.stopped or self._until is None or not self.driven:
            return
        if now >= self._run_until and self.state is not None:
            if self.bot is not None:
                self.bot.stop()
            self._follow(interpreter.out_of_time(self.state), now)
            return
        if self.bot is not None:
            self.bot.on_time(now)
            self._pass_bot_end(now)
        if self._until is None or now < self._until:
            return
        match self.action:
            case Listen() | Execute() | Dial() if not self._breaking and self._hears_nothing(now):
                pass
            case Listen(expectation):
                self._resume(TimedOut(self.ears.instead(expectation)), now)
            case Execute() | Dial() if not self._breaking:
                self._break_off(now)
            case _:
                self.bot = None
                self._resume(TimedOut(), now)

    def stop(self) -> None:
        """The channel is going: act no more."""
        self.stopped = True
        self._until = None

    def _hears_nothing(self, now: float) -> bool:
        """Whether silence means nothing, because the node is away, or was just now: it may be gone with the channel.

        The call finds that out and ends the flow; until it has, nothing is concluded.
        """
        away = self.node.away
        if away or self._was_away:
            self._was_away, self._until = away, now + AWAY_S
            return True
        return False

    # --- results -----------------------------------------------------------------------------------------

    def _on_completion(self, event: Event, now: float) -> None:
        if self.bot is not None:
            self.bot.on_completion(event, now)
            self._pass_bot_end(now)
        elif self.action_id is not None and event.application_uuid == self.action_id:
            self._resume(self._executed(event), now)
            self._watch.idle()

    def _executed(self, event: Event) -> Result:
        took_s = self._watch.done(event)
        bounded = self._breaking and _leaves_park(self.action)
        if self._breaking and not bounded:
            return TimedOut()
        asked = self.action.arg if isinstance(self.action, Execute) else ""
        return completed(event, asked, took_s, cut=self._cut, bounded=bounded)

    def _listen(self, now: float) -> None:
        if isinstance(self.action, Listen):
            heard = self.ears.match(self.action.expectation)
            if heard is not None:
                self.outside.heard(heard)
                self._resume(heard, now)

    def _pass_bot_end(self, now: float) -> None:
        if self.bot is not None and self.bot.ended is not None:
            ended, self.bot = self.bot.ended, None
            self.ears.resume()
            self._resume(ended, now)

    def _resume(self, result: Result, now: float) -> None:
        state, self.action, self.action_id, self._until = self.state, None, None, None
        self._breaking = self._held = False
        if state is not None:
            self._follow(interpreter.resume(state, result), now)

    def _follow(self, turn: Turn, now: float) -> None:
        while turn.end is None:
            self._note(turn)
            self.state, self.action = turn.state, turn.action
            assert turn.action is not None, "a turn has an action or an end"
            result = self._begin(turn.action, now)
            if result is None:
                return
            turn = interpreter.resume(turn.state, result)
        self._note(turn)
        self.state, self.action, self._until = turn.state, None, None
        self.ended = _as_call_input(turn.end)
        if turn.end.outcome is FlowOutcome.LEFT:
            self.ears.close()

    def _note(self, turn: Turn) -> None:
        for left in turn.left:
            self.outside.left(left)
        # A step of several actions begins once: the turns between them leave no step behind.
        if turn.action is not None and (turn.left or self.state is None):
            self.outside.began(turn.state.step.id, turn.state.step.kind)

    # --- actions -----------------------------------------------------------------------------------------

    def _begin(self, action: Action, now: float) -> Result | None:
        """Set an action going; its result, if that is known at once."""
        if not self.driven and isinstance(action, (Execute, Dial, OpenStream)):
            self._held, self._until = True, self._run_until
            return None
        self.action_id = ActionId(new_uuid())
        self._until = now + action.deadline_s
        self._cut = self._was_away = False
        match action:
            case Execute(app, arg):
                self.ears.mark()
                return self._send(app, arg)
            case Dial():
                self.ears.mark()
                try:
                    return self._send("bridge", self.outside.dial(action))
                except ValueError as error:
                    return Refused(str(error))
            case Listen(expectation):
                known = self.ears.listen(expectation)
                if isinstance(known, Heard):
                    self.outside.heard(known)
                return known
            case Fetch():
                self._fetch(action, self.action_id)
                return None
            case Tell(name, data):
                return Told() if self.outside.tell(name, data) else Refused("the call has no webhookUrl to tell it to")
            case Rest():
                rested = FlowNews(self.action_id, Rested())
                self.outside.beside("rest", lambda: self.outside.post(rested))
                return None
            case OpenStream():
                # The bot's own run keeps its times; this one is for a fault in it.
                self._until = now + action.connect_s + action.deadline_s + 5 * BREAK_S
                return self._open_stream(action, now)

    def _send(self, app: str, arg: str) -> Result | None:
        assert self.action_id is not None
        self._watch.sent()
        try:
            self.node.execute(self.channel, self.action_id, app, arg)
        except ModuleMissing as error:
            return Unavailable(error.reply)
        except CommandFailed as error:
            return Refused(str(error))
        except EslNotSent as error:
            return Refused(f"the node could not be told to {app}: {error}")
        except EslError:
            # It may have arrived all the same, so it must not be sent again: its completion or its deadline decides.
            self._ask_after(self.action_id)
        return None

    def _ask_after(self, action_id: ActionId) -> None:
        def ask() -> None:
            if not self.node.exists(self.channel):
                self.outside.post(FlowNews(action_id, Refused("the node has no such channel any more")))

        self.outside.beside("ask_after", ask)

    def _fetch(self, action: Fetch, action_id: ActionId) -> None:
        def exchange() -> None:
            self.outside.post(FlowNews(action_id, self.outside.fetch(action)))

        self.outside.beside("fetch", exchange)

    def _open_stream(self, action: OpenStream, now: float) -> Result | None:
        """One tap at a time: events do not say which of two taps they come from (tests/traces two_taps)."""
        assert self.state is not None
        assert self.state.step.stream is not None
        refusal = self.outside.bot_refusal(action.url)
        if refusal is not None:
            return Refused(f"the bot's url {refusal}")
        self.ears.pause()
        bot = BotRun(self.node, self.channel, action, self.state.document, self.state.step.stream, self.state.variables)
        refused = bot.start(now)
        if refused is not None:
            self.ears.resume()
            return refused
        self.bot = bot
        return None

    def _break_off(self, now: float) -> None:
        """End the application in flight; its completion is awaited: what is sent before it would run inside it."""
        self._breaking, self._until = True, now + BREAK_S
        leaves = _leaves_park(self.action)
        try:
            (self.node.call_back if leaves else self.node.break_off)(self.channel)
        except (CommandFailed, EslNotSent):
            self._until = now  # nothing will come of it; a channel or node that is gone tells the call so itself
            return
        except EslError:
            pass  # it may have been done, so it is waited for
        if leaves:
            self.outside.called_back()


def _leaves_park(action: Action | None) -> bool:
    return isinstance(action, Dial) or (isinstance(action, Execute) and action.leaves)


def _as_call_input(end: FlowEnd) -> FlowEnded:
    if end.outcome is FlowOutcome.BROKE:
        where = f"step {end.step}: " if end.step else ""
        return FlowEnded(FlowResult.BROKE, f"{where}{end.reason}", end.cause, end.result)
    result = FlowResult.LEFT if end.outcome is FlowOutcome.LEFT else FlowResult.FINISHED
    return FlowEnded(result, end.reason, end.cause, end.result)
