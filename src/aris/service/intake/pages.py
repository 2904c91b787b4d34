"""The pages that patients see: plain HTML that needs no script, made for phones, screen readers and slow networks."""

from __future__ import annotations

from html import escape

from aris.tasks.intake import Question

# Nothing but our own style sheet and forms that go back to us.
POLICY = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
STYLE = """
:root { color-scheme: light dark; }
body { font: 1.25rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 38rem; padding: 1rem; }
h1 { font-size: 1.5rem; line-height: 1.3; margin: 1rem 0; }
p, ul { margin: 0.75rem 0; }
fieldset { border: 0; margin: 0; padding: 0; }
legend { font-size: 1.5rem; font-weight: 700; line-height: 1.3; padding: 0; }
label.option { align-items: center; border: 2px solid #767676; border-radius: 0.5rem; display: flex;
  margin: 0.5rem 0; padding: 0.75rem; }
label.option:focus-within { outline: 4px solid #1d70b8; }
input[type=checkbox], input[type=radio] { height: 1.5rem; flex: none; margin: 0 0.75rem 0 0; width: 1.5rem; }
input[type=text], textarea { box-sizing: border-box; font: inherit; margin: 0.5rem 0; padding: 0.75rem; width: 100%; }
button { background: #00703c; border: 0; border-radius: 0.5rem; color: #fff; display: block; font: inherit;
  font-weight: 700; margin: 0.75rem 0; min-height: 3rem; padding: 0.75rem; width: 100%; }
button.second { background: #505a5f; }
button:focus { outline: 4px solid #ffdd00; }
.note { border-left: 0.5rem solid #b58900; padding: 0.25rem 0.75rem; }
.alarm { border: 0.25rem solid #d4351c; border-radius: 0.5rem; font-size: 1.5rem; padding: 1rem; }
""".lstrip()


def start_page(path: str, clinic: str = "the clinic") -> str:
    """Return the page behind a one-time link: opening it uses nothing up, its button does."""
    return _page(
        "Questions before your visit",
        f"<h1>Questions before your visit</h1><p>From {escape(clinic)}. There are 20 questions at most.</p>"
        "<p>Press the button to begin. This link works once, on this phone.</p>"
        f'<form method="post" action="{escape(path)}"><button>Begin</button></form>'
        "<p>The questions are in English only. If you need help, ask the clinic.</p>",
    )


def changed_page() -> str:
    """Return the page for an intake that another version of the questions has begun."""
    return _page(
        "The questions were changed",
        "<h1>The questions were changed</h1><p>The clinic has newer questions now, and these cannot go on. "
        "What you answered is kept for the clinic team.</p><p>Ask the clinic for a new link.</p>"
        "<p>In an emergency call your local emergency number.</p>",
    )


def again_page(why: str) -> str:
    """Return the page for an answer that was not taken; with a link to the question."""
    return _page(
        "Please try again",
        f"<h1>Please try again</h1><p>{escape(why[:1].upper() + why[1:])}.</p>"
        '<p><a href="/intake">Back to the question</a></p>'
        "<p>In an emergency call your local emergency number.</p>",
    )


def question_page(asked: Question, path: str) -> str:
    """Return the page of a question."""
    many = asked.type == "list"
    label = escape(asked.text)
    fields = ""
    if asked.type == "consent":
        paragraphs = "".join(f"<p>{escape(line)}</p>" for line in asked.text.splitlines())
        body = f"<h1>Before we begin</h1>{paragraphs}" + _note(asked)
        buttons = "".join(
            f'<button name="answer" value="{number}"{"" if number == 1 else _SECOND}>{escape(option.text)}</button>'
            for number, option in enumerate(asked.options, 1)
        )
        return _page("Before we begin", body + _form(asked, path, "", buttons))
    if asked.options:
        kind = "checkbox" if many else "radio"
        options = "".join(
            f'<label class="option"><input type="{kind}" name="answer" value="{number}"> {escape(option.text)}</label>'
            for number, option in enumerate(asked.options, 1)
        )
        fields = f"<fieldset><legend>{label}</legend>{options}</fieldset>"
    else:
        entry = (
            '<textarea id="answer" name="answer" rows="4" maxlength="10000"></textarea>'
            if asked.type == "text"
            else '<input id="answer" name="answer" type="text" autocomplete="off" maxlength="200">'
        )
        fields = f'<h1><label for="answer">{label}</label></h1>{entry}'
    buttons = "<button>Send</button>"
    if many:
        buttons += f'<button name="answer" value="0"{_SECOND}>None of these</button>'
    if asked.type != "text":
        buttons += f'<button name="answer" value="not sure"{_SECOND}>Not sure</button>'
    count = f"<p>Question {asked.number} of at most {asked.limit}</p>"
    return _page(f"Question {asked.number}", count + _note(asked) + _form(asked, path, fields, buttons))


def end_page(told: str, *, emergency: bool) -> str:
    """Return the page that ends the questions."""
    lines = "".join(f"<p>{escape(line)}</p>" for line in told.splitlines())
    if emergency:
        return _page("Emergency", f'<h1>Get help now</h1><div class="alarm" role="alert">{lines}</div>')
    return _page("The questions are done", f"<h1>The questions are done</h1>{lines}")


def gone_page() -> str:
    """Return the page for a link or a session that is no more."""
    return _page(
        "This link has ended",
        "<h1>This link has ended</h1><p>It was used before, or its time is over. Ask the clinic for a new one.</p>"
        "<p>In an emergency call your local emergency number.</p>",
    )


_SECOND = ' class="second"'


def _note(asked: Question) -> str:
    lines = "".join(f"<p>{escape(line)}</p>" for line in asked.note.splitlines())
    return f'<div class="note" role="alert">{lines}</div>' if lines else ""


def _form(asked: Question, path: str, fields: str, buttons: str) -> str:
    hidden = (
        f'<input type="hidden" name="question" value="{escape(asked.id)}">'
        f'<input type="hidden" name="number" value="{asked.number}">'
    )
    return f'<form method="post" action="{escape(path)}">{hidden}{fields}{buttons}</form>'


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="/intake/style.css"></head>'
        f"<body><main>{body}</main></body></html>"
    )
