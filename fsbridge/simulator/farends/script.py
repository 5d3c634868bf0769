"""What the called side does, as data: scripts of steps, and the book that says who answers which number. Pure.

A script is a list of steps. A step is a word (``answer``) or a mapping with one key (``ring: 2``)::

    ring: SECONDS              180 Ringing, then wait
    early_media                183 Session Progress: what is played next is heard before the answer
    answer                     200 OK
    play: FILE                 play a sound file to its end; a list of files: one of them, by the number called;
                               {file: FILE, text: WORDS} when speech recognition is to understand it
    speak: TEXT                say it in stand-in speech, which speech recognition understands
    echo: SECONDS              play back what is heard
    silence: SECONDS
    tone: {hz: 440, seconds: 1, level: -13}      hz may be a list; level in dB below full scale
    beep: SECONDS              1000 Hz, as an answering machine before it records
    fax: SECONDS               answer tone of a fax (2100 Hz with phase reversals)
    dtmf: DIGITS               press digits
    wait_dtmf: {digits: 4, until: "#", seconds: 10}        wait until that many digits (or that one) have come
    menu: {prompt: […], seconds: 5, times: 3, choices: {"1": […], "2": […]}, otherwise: […]}
                               run the steps of the prompt, which a digit ends, wait so long for a digit, and run the
                               steps of its choice; another digit or none: the steps of otherwise, and again
    listen: {quiet: 0.7, seconds: 30}            wait until the caller has said something and then been quiet
    record: {seconds: 60, quiet: 3}              take down what the caller says, as an answering machine does
    loop: {times: 3, steps: […]}                 without times: for ever
    hangup: CAUSE              or the word alone: NORMAL_CLEARING
    vanish                     no word and no audio any more, as when the far end's power fails
    busy | reject: SIP STATUS  refuse the call (busy is 486), also ``{status: 503, q850: 17}``: with a Reason that says
                               why; never_answer: let it ring for ever
    redirect: NUMBER           302: somebody else is to be called; a leg that is not to be moved ends
    refer: EXTENSION           REFER: send whom one is bridged with to the node's dialplan, if its profile lets far ends

A script that ends after its answer stays on the line in silence; one that ends before it lets the line ring.
The same steps can act as the caller of an inbound call: there `answer` waits for the answer, ``ring: SECONDS`` at most
so long, and a script that begins with neither, nor with a silence, begins when it is answered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fsbridge.simulator.farends.dialplan import Extension
from fsbridge.simulator.farends.numbers import answers


@dataclass(frozen=True, slots=True)
class Ring:
    seconds: float


@dataclass(frozen=True, slots=True)
class EarlyMedia:
    pass


@dataclass(frozen=True, slots=True)
class Answer:
    pass


@dataclass(frozen=True, slots=True)
class Play:
    files: tuple[str, ...]
    text: str = ""
    """What is said in it."""


@dataclass(frozen=True, slots=True)
class Speak:
    text: str


@dataclass(frozen=True, slots=True)
class Echo:
    seconds: float


@dataclass(frozen=True, slots=True)
class Silence:
    seconds: float


@dataclass(frozen=True, slots=True)
class Tone:
    hz: tuple[float, ...]
    seconds: float
    level: float = -13.0


@dataclass(frozen=True, slots=True)
class Fax:
    seconds: float


@dataclass(frozen=True, slots=True)
class Press:
    digits: str


@dataclass(frozen=True, slots=True)
class WaitDtmf:
    digits: int
    until: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Listen:
    quiet: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Record:
    seconds: float
    quiet: float


@dataclass(frozen=True, slots=True)
class Loop:
    times: int
    """0: for ever."""
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Menu:
    prompt: tuple[Step, ...]
    seconds: float
    times: int
    choices: tuple[tuple[str, tuple[Step, ...]], ...]
    otherwise: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class HangUp:
    cause: str


@dataclass(frozen=True, slots=True)
class Reject:
    status: int
    q850: int = 0
    """The cause in the Reason header; 0: there is none."""


@dataclass(frozen=True, slots=True)
class Refer:
    extension: str


@dataclass(frozen=True, slots=True)
class Redirect:
    number: str


@dataclass(frozen=True, slots=True)
class Vanish:
    pass


@dataclass(frozen=True, slots=True)
class NeverAnswer:
    pass


Step = (
    Ring
    | EarlyMedia
    | Answer
    | Play
    | Speak
    | Echo
    | Menu
    | Silence
    | Tone
    | Fax
    | Press
    | WaitDtmf
    | Listen
    | Record
    | Loop
    | HangUp
    | Refer
    | Reject
    | Redirect
    | Vanish
    | NeverAnswer
)


@dataclass(frozen=True, slots=True)
class FarEnd:
    """One script and the patterns of the numbers or SIP users it answers."""

    name: str
    matches: tuple[str, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who calls in to the node by themselves: seconds after its start, and again and again if `every`."""

    script: FarEnd
    to: str
    number: str
    """The caller's own."""
    after: float
    every: float = 0.0


@dataclass(frozen=True, slots=True)
class FarEndBook:
    """Far ends in the order in which they are tried; the first whose pattern matches answers."""

    entries: tuple[FarEnd, ...]
    extensions: tuple[Extension, ...] = ()
    """Numbers that come back to the node and run its dialplan: asked before the entries, after the settings' own."""
    callers: tuple[Caller, ...] = ()

    def find(self, called: str) -> FarEnd | None:
        """Who answers `called`, a number (with or without +) or the user part of a SIP URI. None: nobody is known."""
        for entry in self.entries:
            if answers(entry.matches, called):
                return entry
        return None

    def with_first(self, *entries: FarEnd) -> FarEndBook:
        """A book in which these are tried before the others."""
        return replace(self, entries=(*entries, *self.entries))

    def with_book(self, book: FarEndBook) -> FarEndBook:
        """A book in which all of `book` is tried first."""
        return FarEndBook(
            (*book.entries, *self.entries), (*book.extensions, *self.extensions), (*book.callers, *self.callers)
        )
