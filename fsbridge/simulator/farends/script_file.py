"""Reads the steps of far-end scripts, which `script` describes, and says of every fault what would be right."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from fsbridge.simulator.audio.sound import SoundError, load, resolve
from fsbridge.simulator.farends.script import (
    Answer,
    EarlyMedia,
    Echo,
    Fax,
    HangUp,
    Listen,
    Loop,
    Menu,
    NeverAnswer,
    Play,
    Press,
    Record,
    Redirect,
    Refer,
    Reject,
    Ring,
    Silence,
    Speak,
    Step,
    Tone,
    Vanish,
    WaitDtmf,
)

MAX_STEP_SECONDS = 86_400.0
MAX_TEXT = 1000
_DIGITS = re.compile(r"[0-9A-Da-d*#wW]{1,64}")
_NUMBER = re.compile(r"\+?[A-Za-z0-9_.-]{1,64}")
_DIGIT = re.compile(r"[0-9A-Da-d*#]")
_CAUSE = re.compile(r"[A-Z][A-Z0-9_]{1,48}")

_STEP_WORDS = (
    "ring, early_media, answer, play, speak, echo, silence, tone, beep, fax, dtmf, wait_dtmf, menu, listen, record, "
    "loop, hangup, vanish, busy, reject, redirect, refer, never_answer"
)


class StepReader:
    """Reads steps and collects what is wrong with them instead of stopping at the first fault."""

    def __init__(self, folders: tuple[str, ...]) -> None:
        """folders: where sound files are looked up."""
        self.problems: list[str] = []
        self._folders = folders

    def steps(self, items: object, place: str) -> tuple[Step, ...]:
        if not isinstance(items, list) or not items:
            self.problems.append(f"{place}: must be a list of at least one step")
            return ()
        steps = [self._step(item, f"{place}[{index}]") for index, item in enumerate(items)]
        return tuple(step for step in steps if step is not None)

    def _step(self, item: object, place: str) -> Step | None:
        if isinstance(item, str):
            word, value = item, None
        elif isinstance(item, Mapping) and len(item) == 1:
            word, value = next((str(key), val) for key, val in item.items())
        else:
            self.problems.append(f"{place}: must be a word or a mapping with one key")
            return None
        place = f"{place} {word}"
        known: dict[str, Step] = {
            "answer": Answer(),
            "early_media": EarlyMedia(),
            "busy": Reject(486),
            "never_answer": NeverAnswer(),
            "vanish": Vanish(),
        }
        if word in known:
            if value is not None:
                self.problems.append(f"{place}: takes no value")
            return known[word]
        return self._step_with_value(word, value, place)

    def _step_with_value(self, word: str, value: object, place: str) -> Step | None:
        match word:
            case "ring":
                return Ring(self._seconds(value, place))
            case "silence":
                return Silence(self._seconds(value, place))
            case "beep":
                return Tone((1000.0,), self._seconds(0.4 if value is None else value, place))
            case "fax":
                return Fax(self._seconds(3.0 if value is None else value, place))
            case "play":
                return self._play(value, place)
            case "tone":
                return self._tone(value, place)
            case "dtmf":
                text = str(value)
                if not _DIGITS.fullmatch(text):
                    self.problems.append(f"{place}: must be 1 to 64 of 0-9 A-D * # (w is a pause), in quotes")
                return Press(text)
            case "wait_dtmf":
                fields = self._fields(value, place, {"digits": 0, "until": "", "seconds": 30})
                digits, until = fields["digits"], fields["until"]
                if not isinstance(digits, int) or digits < 0 or (not digits and not until):
                    self.problems.append(f"{place}: needs digits (how many) or until (which one)")
                    digits = 1
                return WaitDtmf(digits, str(until), self._seconds(fields["seconds"], f"{place}.seconds"))
            case "listen":
                fields = self._fields(value, place, {"quiet": 0.7, "seconds": 30})
                return Listen(
                    self._seconds(fields["quiet"], f"{place}.quiet"),
                    self._seconds(fields["seconds"], f"{place}.seconds"),
                )
            case "record":
                fields = self._fields(value, place, {"seconds": 60, "quiet": 3})
                return Record(
                    self._seconds(fields["seconds"], f"{place}.seconds"),
                    self._seconds(fields["quiet"], f"{place}.quiet"),
                )
            case "speak":
                return Speak(self._text(value, place))
            case "echo":
                return Echo(self._seconds(value, place))
            case "menu":
                return self._menu(value, place)
            case "loop":
                return self._loop(value, place)
            case "hangup":
                cause = "NORMAL_CLEARING" if value is None else str(value)
                if not _CAUSE.fullmatch(cause):
                    self.problems.append(f"{place}: must be a hang-up cause such as NORMAL_CLEARING")
                return HangUp(cause)
            case "reject":
                return self._reject(value, place)
            case "redirect" | "refer":
                number = str(value)
                if not _NUMBER.fullmatch(number):
                    self.problems.append(f"{place}: must be a number or SIP user, in quotes")
                return Redirect(number) if word == "redirect" else Refer(number)
        self.problems.append(f"{place}: no such step; known are {_STEP_WORDS}")
        return None

    def _reject(self, value: object, place: str) -> Step:
        fields = self._fields(value, place, {"status": 480, "q850": 0}) if isinstance(value, Mapping) else {}
        status, q850 = fields.get("status", value), fields.get("q850", 0)
        if not isinstance(status, int) or not (400 <= status <= 699 or 900 <= status <= 999):
            self.problems.append(f"{place}: must be a SIP status from 400 to 699, or one of FreeSWITCH's own above 900")
            status = 480
        if not isinstance(q850, int) or not 0 <= q850 <= 999:
            self.problems.append(f"{place}.q850: must be a cause's number")
            q850 = 0
        return Reject(status, q850)

    def _seconds(self, value: object, place: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_STEP_SECONDS:
            self.problems.append(f"{place}: must be seconds from 0 to {MAX_STEP_SECONDS:.0f}")
            return 0.0
        return float(value) if math.isfinite(value) else 0.0

    def _fields(self, value: object, place: str, defaults: dict[str, object]) -> dict[str, object]:
        if value is None:
            return defaults
        if not isinstance(value, Mapping):
            self.problems.append(f"{place}: must be a mapping of {', '.join(defaults)}")
            return defaults
        for key in sorted(set(map(str, value)) - set(defaults)):
            self.problems.append(f"{place}.{key}: unknown; known are {', '.join(defaults)}")
        return {name: value.get(name, default) for name, default in defaults.items()}

    def _text(self, value: object, place: str) -> str:
        if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT:
            self.problems.append(f"{place}: must be a text of at most {MAX_TEXT} characters")
            return "?"
        return value

    def _play(self, value: object, place: str) -> Step:
        text = ""
        if isinstance(value, Mapping):
            fields = self._fields(value, place, {"file": None, "text": ""})
            text = self._text(fields["text"], f"{place}.text") if fields["text"] else ""
            value = fields["file"]
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            self.problems.append(f"{place}: must be a file name or a list of them")
            return Silence(0.0)
        files = []
        for name in names:
            try:
                file = resolve(name, self._folders)
                load(file)
            except SoundError as error:
                self.problems.append(f"{place}: {error}")
            else:
                files.append(file)
        return Play(tuple(files), text)

    def _tone(self, value: object, place: str) -> Step:
        fields = self._fields(value, place, {"hz": 1000, "seconds": 1, "level": -13})
        hz = fields["hz"] if isinstance(fields["hz"], list) else [fields["hz"]]
        if not all(isinstance(f, int | float) and 0 < f < 4000 for f in hz) or not 0 < len(hz) <= 4:
            self.problems.append(f"{place}.hz: must be one to four frequencies below 4000")
            hz = [1000]
        level = fields["level"]
        if not isinstance(level, int | float) or not -90 <= level <= 0:
            self.problems.append(f"{place}.level: must be decibels from -90 to 0")
            level = -13
        return Tone(tuple(map(float, hz)), self._seconds(fields["seconds"], f"{place}.seconds"), float(level))

    def _menu(self, value: object, place: str) -> Step:
        fields = self._fields(
            value, place, {"prompt": None, "seconds": 5, "times": 3, "choices": None, "otherwise": None}
        )
        times, choices = fields["times"], fields["choices"]
        if isinstance(times, bool) or not isinstance(times, int) or not 1 <= times <= 100:
            self.problems.append(f"{place}.times: must be a whole number from 1 to 100")
            times = 1
        if not isinstance(choices, Mapping) or not choices:
            self.problems.append(
                f'{place}.choices: must be a mapping from digits, in quotes, to lists of steps: "1": […]'
            )
            choices = {}
        read = []
        for digit, steps in choices.items():
            if not isinstance(digit, str) or not _DIGIT.fullmatch(digit):
                self.problems.append(f"{place}.choices: {digit!r} must be one of 0-9 A-D * #, in quotes")
                continue
            read.append((digit.upper(), self.steps(steps, f"{place}.choices[{digit}]")))
        prompt = self.steps(fields["prompt"], f"{place}.prompt") if fields["prompt"] is not None else ()
        otherwise = self.steps(fields["otherwise"], f"{place}.otherwise") if fields["otherwise"] is not None else ()
        return Menu(prompt, self._seconds(fields["seconds"], f"{place}.seconds"), times, tuple(read), otherwise)

    def _loop(self, value: object, place: str) -> Step:
        fields = self._fields(value, place, {"times": 0, "steps": None})
        times = fields["times"]
        if isinstance(times, bool) or not isinstance(times, int) or not 0 <= times <= 100_000:
            self.problems.append(f"{place}.times: must be a whole number up to 100000")
            times = 1
        steps = self.steps(fields["steps"], f"{place}.steps")
        if steps and not any(_takes_time(step) for step in steps):
            self.problems.append(f"{place}: would turn without time passing; add a silence")
        return Loop(times, steps)


def _takes_time(step: Step) -> bool:
    match step:
        case Ring(seconds) | Silence(seconds) | Tone(_, seconds) | Fax(seconds) | Echo(seconds):
            return seconds > 0
        case Play(files, _):
            return any(load(file) for file in files)
        case Loop(_, steps):
            return any(map(_takes_time, steps))
        case Press() | NeverAnswer() | Speak():
            return True
        case WaitDtmf(_, _, seconds) | Listen(_, seconds) | Record(seconds, _) | Menu(_, seconds):
            # Could end at once only by what the caller does, and that takes time of its own.
            return seconds > 0
        case _:
            return False
