"""``python -m training COMMAND``: everything that is done with the detector's material, one command each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

COMMANDS: dict[str, tuple[str, str]] = {
    "recipe": ("recipe", "labelled recordings → a measured model, in one go"),
    "import": ("corpus.importers", "recordings, prompts, corpora or a text-to-speech voice → clips with a manifest"),
    "texts": ("corpus.texts", "draw texts for a text-to-speech voice to say"),
    "holdout": ("composition.holdout", "set speakers apart for a test that no training sees"),
    "train": ("learning.train", "train a network on composed answers and recordings"),
    "average": ("learning.average", "the weights between two runs that do best on dev"),
    "tune": ("studies.tune", "choose the decision's thresholds on dev"),
    "probe": ("studies.probe", "does a model lean on the line or the microphone?"),
    "compare": ("studies.compare", "runs beside boosted trees, a conformer and eight bits"),
    "likeness": ("studies.likeness", "how surely a recording is found again, and another is not"),
    "words": ("words.train", "train the phrase model on texts by grammar and on your own transcripts"),
    "cases": ("composition.cases", "a split's answers as files with a list, for python -m amd_model evaluate"),
    "export": ("learning.export", "install a trained model where the worker loads it"),
}
"""Command → its module, whose `main` takes the arguments, and its line of help; in the order of the work."""


def usage() -> str:
    """The help: every command with its line."""
    lines = [f"  {name:<10} {line}" for name, (_, line) in COMMANDS.items()]
    return "\n".join(["usage: python -m training COMMAND …", "", *lines, "", "COMMAND --help tells its options."])


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code, 2 for one that there is not."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage(), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    name, *rest = arguments
    if name not in COMMANDS:
        print(f"there is no command {name!r}\n\n{usage()}", file=sys.stderr)
        return 2
    # Only the module that is asked for: some load libraries that others never need.
    run: Callable[[list[str]], int] = import_module(f"training.{COMMANDS[name][0]}").main
    return run(rest)


if __name__ == "__main__":
    sys.exit(main())
