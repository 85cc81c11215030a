"""A self-contained HTML file: style, script and data inside, no network access."""

import base64
import hashlib
import html
import json
import re
from pathlib import Path
from typing import Any

from graphgrad.errors import PictureError
from graphgrad.files import atomic_write

FOLDER = Path(__file__).parent


def checked_path(path: Path, who: str) -> Path:
    """Return a path that ends in .html or .htm, in an existing folder.

    Raises
    ------
    PictureError
        For any other.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise PictureError(f"{who}: '{path}' does not end in .html")
    if not path.parent.is_dir():
        raise PictureError(f"{who}: there is no folder '{path.parent}'")
    return path


def document(title: str, body: str, data: Any, *, style: str, script: str) -> str:
    """Return a page with a title, a body in HTML, and data for the script, as JSON.

    Its content security policy allows this style and script, by their hashes, and nothing else.

    Parameters
    ----------
    title
        As text.
    body
        HTML, in which names of the user are escaped.
    data
        What JSON can hold; the script finds it in the element `data`.
    style, script
        Names of files in this folder.
    """
    css, js = (
        minify((FOLDER / name).read_text("utf-8"), OPERATORS[Path(name).suffix])
        for name in (style, script)
    )
    policy = (
        f"default-src 'none'; style-src '{_hash(css)}'; script-src '{_hash(js)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    # Escape <, so that no text can end the script element, and lone surrogates, which UTF-8 lacks.
    packed = json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    packed = re.sub("[<\ud800-\udfff]", lambda c: f"\\u{ord(c[0]):04x}", packed)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<title>{html.escape(title)}</title>\n<link rel="icon" href="data:,">\n'
        f"<style>{css}</style>\n</head>\n<body>\n{body}\n"
        f'<script type="application/json" id="data">{packed}</script>\n'
        f"<script>{js}</script>\n</body>\n</html>\n"
    )


def minify(source: str, operators: str) -> str:
    """Minify a style or script: drop comments, most spaces, and optional parentheses.

    These are the ones around the only argument of an arrow function. It recognizes strings and
    templates, but not regular expressions, which must contain neither quotes nor spaces. A template
    may contain others, but no braces except theirs. No statement may be empty.

    Parameters
    ----------
    operators
        The characters around which space has no meaning.
    """
    space = r"(?:\s|//[^\n]*|/\*.*?\*/)*"
    parts = re.compile(
        rf"""
        (?P<text> "(?:[^"\\\n]|\\.)*"
                | `(?:[^`\\$]|\\.|\$(?!\{{)|\$\{{(?:[^{{}}`]|`[^`]*`)*\}})*` )
        | {space} (?P<last> ;{space}(?=\}}) )
        | \s* \( (?P<only> \w+ ) \) \s* => {space}
        | {space} (?P<sign> => | [{re.escape(operators)}] | :(?=\s) ) {space}
        | {space} (?: //[^\n]* | /\*.*?\*/ | \n ) {space}
        """,
        re.VERBOSE | re.DOTALL,
    )

    def replacement(part: re.Match[str]) -> str:
        if part["last"]:
            return ""
        if part["only"]:
            word = source[: part.start()].rstrip()[-1:].isalnum()  # which the argument would extend
            return f"({part['only']})=>" if word else f"{part['only']}=>"
        return part["text"] or part["sign"] or "\n"

    return parts.sub(replacement, source).strip()


OPERATORS = {".css": "{},;>", ".js": "={},;?&|()[]<>*!+-%"}


def write(path: Path, text: str, who: str) -> Path:
    """Write a page, whole or not at all; an old one is replaced.

    Raises
    ------
    PictureError
        If the path cannot be written.
    """
    try:
        with atomic_write(path) as unfinished:
            unfinished.write_bytes(
                text.encode("utf-8")
            )  # in text mode, newlines on Windows would change the hashes
    except OSError as error:
        raise PictureError(f"{who}: cannot write '{path}': {error.strerror}") from error
    return path


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
