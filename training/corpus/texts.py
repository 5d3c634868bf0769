"""Texts to be spoken for training: what people say who pick up a telephone, and what machines say instead.

A text-to-speech voice needs something to say, and a detector learns only the wordings that it is given. The grammar
here is a list of templates and a list of fillings; a seed draws as many different texts as are asked for:

    python -m training texts --count 1500 --seed 1 --out texts.tsv
    python -m training import tts --command '…' --voices voices.txt --texts texts.tsv --out data/voices

Hard neighbours are there on purpose: a person who says "you've reached the front desk", a machine that begins "Hi,
this is Anna". English only; for other languages write a texts file by hand (a kind, ``live`` or ``machine``, a tab and
the text).
"""

from __future__ import annotations

import argparse
import random as standard
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

_SLOT: Final = re.compile(r"\{(\w+)\}")


def _each(text: str, separator: str = "|") -> Sequence[str]:
    return tuple(text.split(separator))


FILLINGS: Final[Mapping[str, Sequence[str]]] = {
    "first": _each(
        "Aisha Albert Alina Amir Andre Anita Anton Arjun Beatrice Ben Bianca Bogdan Bruno Carla Cecilia Chen "
        "Clara Cyril Dalia Darius Dmitri Doris Edgar Elif Emil Esther Fabio Farah Felix Fiona Gabriel Georgia Gus "
        "Hana Harriet Hugo Ibrahim Ines Irene Ivan Jamal Jill Joanna Jonas Kamal Kasia Kirsten Lars Leah Leo "
        "Lorenzo Lucy Magda Malik Marta Max Mei Milo Mona Nathan Nikhil Nora Olga Omar Otto Paloma Pavel Petra "
        "Quentin Rania Rasmus Rita Rosa Ruben Sami Selma Simon Stella Tariq Tess Tobias Ursula Vera Viktor Wanda "
        "Wes Xavier Yara Yusuf Zara Zoltan",
        " ",
    ),
    "last": _each(
        "Abbott Adeyemi Aguilar Andersen Baker Banks Becker Berger Bianchi Blake Bosch Brandt Burke Carver Castro "
        "Chang Cole Costa Dalton Dietrich Drake Dubois Duran Eriksen Farouk Fischer Flynn Fontaine Foster Garner "
        "Gill Haas Hansen Hoffman Horvath Ito Jansen Kaplan Keller Khan Kovacs Larsen Lopes Marsh Meyer Mills "
        "Moreau Nair Novak Okafor Olsen Ortega Palmer Petrov Porter Rao Reyes Rossi Sato Sharma Silva Stone "
        "Takeda Torres Varga Vega Walsh Weber West Wolf Yilmaz Zimmer",
        " ",
    ),
    "firm": _each(
        "Acorn Insurance|Harbor Dental|Blue River Plumbing|Northwind Logistics|Summit Roofing|Maple Street Clinic|"
        "Redwood Credit Union|Oakfield Veterinary|Pioneer Electric|Silverline Taxi|Lakeside Pharmacy|"
        "Granite Legal|Sunrise Travel|City Water Department|Bright Smile Orthodontics|Crown Motors|"
        "Evergreen Landscaping|Metro Glass|the Riverside Hotel|Fox and Partners|Atlas Freight|Beacon Realty|"
        "Cedar Grove School|Delta Heating and Cooling|Fairview Medical Group|Golden Gate Catering|Highland Books|"
        "Ironbridge Security|Juniper Design|Kingsley Bakery"
    ),
    "desk": _each("sales|support|billing|reception|the front desk|accounts|customer care|the service desk|dispatch"),
    "help": _each(
        "how can I help you?|how may I help you?|can I help you?|what can I do for you?|how can I help you today?|"
        "how may I direct your call?|who am I speaking with?|what can I help you with today?"
    ),
    "hello": _each("Hello|Hi|Hey|Good morning|Good afternoon|Hi there|Good evening|Hello there"),
    "away": _each(
        "I can't come to the phone right now|I can't take your call right now|I'm not available right now|"
        "I'm away from my phone|I'm either on another call or away from my desk|"
        "I can't get to the phone at the moment|I'm out of the office this week|I'm unable to answer your call|"
        "I missed your call|I'm in a meeting right now|I'm driving right now|I can't answer the phone|"
        "I'm sorry I missed you"
    ),
    "weaway": _each(
        "We can't come to the phone right now|Nobody is home at the moment|"
        "We are unable to take your call right now|All of our staff are busy helping other callers|"
        "Our office is now closed|We're closed for the weekend|No one is available to take your call|"
        "We are currently assisting other customers"
    ),
    "leave": _each(
        "Please leave a message after the tone|Leave your name and number after the beep|"
        "Please leave your name and number|Leave me a message|Please leave a short message and your phone number|"
        "Leave a message at the beep|Please leave a detailed message|"
        "Just leave your name, number and the reason for your call|If you leave a message|"
        "Please record your message after the tone|Leave a message and have a great day|You know what to do|"
        "Wait for the beep|Drop me a message"
    ),
    "back": _each(
        "and I'll get back to you as soon as possible.|and I'll call you back.|and I will return your call.|"
        "and I'll get back to you as soon as I can.|and I'll call you when I can.|. Thank you.|. Thanks, bye.|.|"
        ". Have a nice day.|and we'll get back to you.|. Bye.|and someone will return your call.|"
        "and I'll ring you back later.|. Talk to you soon."
    ),
    "digit": _each("zero one two three four five six seven eight nine oh", " "),
    "hours": _each(
        "Our hours are Monday to Friday, nine to five.|We are open from eight a m to six p m.|"
        "Our normal business hours are from eight thirty to five.|We will reopen on Monday morning."
    ),
    "carrier": _each(
        "The person you are calling|The customer you are calling|The subscriber you have dialed|"
        "The party you have dialed|The mobile customer you are calling|The number you are calling|"
        "The cellular customer you have called"
    ),
    "gone": _each(
        "is not available|is unavailable right now|cannot take your call|is not available at the moment|"
        "is switched off or out of coverage|has not set up a voice mailbox yet|is currently unreachable|"
        "is on another call|has a voice mailbox that is full|is not accepting calls at this time"
    ),
    "after": _each(
        ""
        "At the tone, please record your message. When you have finished recording, you may hang up, "
        "or press one for more options.|"
        "Please leave a message after the tone.|Please try again later.|Please hang up and try your call again.|"
        "To leave a callback number, press five.|Goodbye.|Record your message at the tone.|"
        "Please try your call again later. Goodbye.|When you are finished, press pound or hang up."
    ),
    "item": _each(
        "sales|support|billing|a representative|opening hours|directions|the pharmacy|new patients|claims|returns|"
        "technical help|the operator|appointments|a new order|the company directory"
    ),
    "street": _each("Maple Oak Cedar Elm Lincoln Park Hill Church Station Mill", " "),
}

LIVE: Final[Sequence[str]] = (
    "Hello?", "Hello, {first} speaking.", "{first} speaking.", "This is {first}.", "{first}.", "{first} {last}.",
    "{hello}, this is {first}.", "{hello}, {first} here.", "{last} residence.", "Yes?", "Yes, hello?", "Yeah?",
    "Hello, hello?", "Hi, who's this?", "Hello, who is it?", "Who's calling, please?", "Yes, speaking.", "Go ahead.",
    "{firm}.", "{firm}, {first} speaking.", "{hello}, {firm}.", "{hello}, {firm}, {help}", "{firm}, {help}",
    "{hello}, {firm}, {first} speaking, {help}", "Thank you for calling {firm}, this is {first}, {help}",
    "Thanks for calling {firm}, my name is {first}, {help}", "{firm}, {desk}, {first} speaking.",
    "You've reached {desk}, this is {first}, {help}", "{hello}, you're speaking with {first} from {desk}, {help}",
    "{hello}, {first} {last} speaking.", "{hello}, it's {first}.", "Hey, what's up?", "Hey, how are you doing?",
    "Hi {first}, is that you?", "{first}, hi, I was just about to call you.", "Hello, can you hear me?",
    "Hello? Sorry, I can't hear you very well.", "Yes, this is {first}, who's speaking please?",
    "Hello, this is she.", "Hello, this is he.", "Speaking, who is this?", "Hang on, let me turn the radio down.",
    "Hold on one second, please.", "Hi, sorry, I was just on the other line.", "Hello, {first} {last}, {desk}.",
    "{hello}, {desk}.", "{last} and {last}, {hello}.", "{hello}, doctor {last}'s office, {help}",
    "{hello}, {first} at {firm}.", "Hey {first}, I'm in the car, go ahead.",
    "Yes, hi, I've been waiting for your call.", "Hello? Oh hi, {first}.", "Hello, mom?", "Yep.", "Uh, hello?",
    "Um, hi.", "Good day, {last}.", "House of {last}, {first} speaking.", "Kitchen, {first}.",
    "{hello}, {street} Street {desk}.", "Hi, are you calling about the car?",
    "Hello, I'm at work, can I call you back in an hour?", "Yes, good, who am I talking to?",
    "If this is about the {item}, I already talked to someone yesterday.", "Hi, {first}'s phone, {first} speaking.",
)  # fmt: skip

MACHINE: Final[Sequence[str]] = (
    "Hi, this is {first}. {away}. {leave} {back}", "Hey, it's {first}, {leave} {back}",
    "Hi, it's {first}. {leave} {back}", "{hello}, you've reached {first}. {away}. {leave} {back}",
    "You've reached {first} {last}. {leave} {back}",
    "{hello}, you have reached the voicemail of {first} {last}. {away}. {leave} {back}",
    "You have reached the voice mailbox of {first} {last}. {after}",
    "This is {first} {last}. {away}, so {leave} {back}", "{hello}. {away}. {leave} {back}",
    "Hi, you've reached the {last} family. {weaway}. {leave} {back}",
    "Hello. Nobody's here to take your call. {leave} {back}", "{first} here, {away}. {leave} {back}",
    "Hey! Sorry, {away}, but {leave} {back}", "It's {first}. {leave}.", "{first}'s phone. {leave} {back}",
    "Hi, this is {first} {last} with {firm}. {away}. {leave} {back}",
    "{hello}, this is {first} in {desk}. {away}. If this is urgent, please dial zero. {leave} {back}",
    "Thank you for calling {firm}. {weaway}. {leave} {back}", "Thank you for calling {firm}. {weaway}. {hours}",
    "You have reached {firm}. {hours} {leave} {back}",
    "{hello}, you've reached {firm}. {weaway}. {hours} {leave} {back}",
    "Thank you for calling {firm}. For {item}, press one. For {item}, press two. For {item}, press three.",
    "Welcome to {firm}. If you know your party's extension, you may dial it now. For {item}, press one.",
    "Thank you for calling {firm}. Please listen carefully, as our menu options have changed. For {item}, press one.",
    "Thank you for calling {firm}. This call may be recorded for quality and training purposes. For {item}, press one.",
    "{carrier} {gone}. {after}", "We're sorry. {carrier} {gone}. {after}", "{carrier} {gone}.",
    "Your call has been forwarded to an automated voice message system. {first} {last} is not available. {after}",
    "Your call has been forwarded to voicemail. The person you're trying to reach is not available. {after}",
    "{digit} {digit} {digit}, {digit} {digit} {digit}, {digit} {digit} {digit} {digit} is not available. {after}",
    "You have reached {digit} {digit} {digit}, {digit} {digit} {digit} {digit}. {leave} {back}",
    "The number you have dialed, {digit} {digit} {digit}, {digit} {digit} {digit} {digit}, is not in service. {after}",
    "We're sorry, you have reached a number that has been disconnected or is no longer in service. {after}",
    "We're sorry, your call cannot be completed as dialed. Please check the number and dial again.",
    "The number you have dialed has been changed. The new number is {digit} {digit} {digit}, {digit} {digit} {digit}.",
    "Hello. The person you are calling is using a screening service and asks for your name and why you are calling.",
    "Hi. If you record your name and reason for calling, I'll see if this person is available.",
    "The mailbox is full and cannot accept any messages at this time. Goodbye.",
    "{first} {last}'s mailbox is full. To send a text notification, press five.",
    "All of our agents are currently busy. Please stay on the line and your call will be answered shortly.",
    "Your call is important to us. Please hold for the next available representative.",
    "At the subscriber's request, this phone does not accept incoming calls. {after}",
    "{hello}, this is an automated message. {firm} is calling to confirm your appointment. Press one to confirm.",
    "Hello? Hello? Just kidding, I'm not here. {leave} {back}",
    "Hey, what's up, this is {first}. {away}. {leave} {back}",
    "{hello}, {first} speaking. Well, not really, this is my voicemail. {leave} {back}",
    "Hi, sorry I missed your call. {leave} {back}", "Please leave your message for {first} {last}. {after}",
    "This is the voicemail of {digit} {digit} {digit}, {digit} {digit} {digit} {digit}. {after}",
    "Welcome to the voice message service. {first} {last} cannot answer your call. {after}",
    "Hey, this is {first}. Don't leave a message, I never listen to them. Send me a text. Thanks.",
    "{hello}, you've reached the office of doctor {last}. "
    "If this is a medical emergency, hang up and dial nine one one.",
    "You've reached the {last} house on {street} Street. {weaway}. {leave} {back}",
    "{hello}, thanks for calling. {weaway}, {leave} {back}", "Hey, can't talk now. {leave} {back}",
    "Please say your name after the tone, and I will try to connect you.",
)  # fmt: skip


def filled(template: str, random: standard.Random) -> str:
    """The template with each of its slots filled, spaces before stops taken out, and a capital at every start."""
    text = template
    while _SLOT.search(text):
        text = _SLOT.sub(lambda slot: random.choice(FILLINGS[slot[1]]), text, count=1)
    text = re.sub(r"\s+([.,?!])", r"\1", text)
    text = re.sub(r"([.?!])\.+", r"\1", text)
    return re.sub(r"(^|[.?!] )([a-z])", lambda match: match[1] + match[2].upper(), text)


def texts(kind: str, count: int, seed: int) -> Iterator[str]:
    """``count`` different texts of a kind, ``live`` or ``machine``; fewer when the grammar has no more to give."""
    templates = {"live": LIVE, "machine": MACHINE}[kind]
    random = standard.Random(f"{kind} {seed}")
    seen: set[str] = set()
    for _ in range(50 * count):
        text = filled(random.choice(templates), random)
        if text not in seen:
            seen.add(text)
            yield text
            if len(seen) == count:
                return


def main(argv: Sequence[str] | None = None) -> int:
    """Writes a texts file for ``importers tts``."""
    parser = argparse.ArgumentParser(prog="python -m training texts", description="Texts for a text-to-speech voice.")
    parser.add_argument("--count", type=int, default=1_000, help="texts of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args(argv)
    if arguments.count < 1:
        parser.error("--count must be at least 1")
    lines = [f"{kind}\t{text}" for kind in ("live", "machine") for text in texts(kind, arguments.count, arguments.seed)]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines)} texts in {arguments.out}")
    return 0
