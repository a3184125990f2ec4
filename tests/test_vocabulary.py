"""One word for one thing, and it is the field's: which words appear nowhere, and which are no names.

`python tests/test_vocabulary.py FILE...` lists what it finds in some files.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]

# Forbidden wherever a person reads: names, keys, flags, headings, comments, messages, documents. Word: what to say.
EVERYWHERE = {
    r"(?<!Na)(?<!na)pictures?": "image",
    r"\btwins?\b": "duplicate, near-duplicate",
    r"\brivals?\b": "baseline",
    r"\btorn\b": "leak (of a group or a duplicate), truncated (of a file)",
    r"\bheaps?\b|is_heap": "unsplit data",
    r"\bpromise[ds]?\b|\bpromising\b": "guarantee",
    r"\bforeign": "out-of-distribution, OOD; third-party",
    r"averaged[ _]views?": "test-time augmentation, TTA",
    r"where (it|the (network|model)) look(s|ed)": "saliency map, attribution",
    r"heat[ _]?maps?": "saliency map",
    r"\bby heart\b": "overfits",
    r"\banew\b": "from scratch, again",
    r"\bweighed\b": "weighted",
    r"\b(cannot|can't|could not) be had\b": "not available, undefined",
    r"\b(left|leave|leaves|leaving) out\b": "skipped, excluded, omitted",
    r"\bask(s|ed|ing)? the (network|model)\b": "run inference, forward pass",
    r"what the (network|model) says": "prediction",
    r"loader process": "worker",
    r"\blanes?\b": "worker",
    r"\bhow sure\b": "confidence",
    r"\bright answers?\b|\bthe truth\b": "ground truth, label",
    r"\b(sub)?divisions?\b": "split",
    r"always naming the": "majority-class baseline",
    r"\bsomething else entirely\b": "out-of-distribution images",
}
# Forbidden as part of a name in code, as a key or a flag, and in a heading.
IN_NAMES = {
    r"(^|_)answers?(_|$)|Answer": "prediction, response",
    r"(^|_)words?(_|$)|Words?(?![a-z])": "argument, override",
    r"(^|_)(num|is|are|was)_(right|wrong)(_|$)": "correct, incorrect",
    r"(^|_)typed(_|$)|is_typed": "overridden",
    r"(^|_)(val|train|test)_scores?(_|$)|RunningScore": "metrics",
    r"(^|_)divided?(_|$)": "split",
    r"(^|_)truths?(_|$)": "labels",
    r"(^|_)sureness(_|$)": "confidence",
}
IN_HEADINGS = {**IN_NAMES, r"\bnetworks?\b": "model", r"\banswers?\b": "prediction", r"\bwords\b": "arguments"}

# Where a forbidden word may stand, and why. Path: the words, as they stand there.
ALLOWED: dict[str, tuple[str, ...]] = {
    "tests/test_vocabulary.py": ("",),  # the list itself
    "CHANGELOG.md": ("rival", "heat"),  # names of before, in the table of renamed keys
    "imgrec/evaluation/report/evaluation_folder.py": ("foreign", "left_out", "rival"),  # keys and files of old releases
    "imgrec/data/prepared/prepared_format.py": ("heap", "picture"),  # names in files of version 1
}
# What is read: not pictures of a page, not fixtures written by earlier releases, not the licence.
SUFFIXES = {".py", ".pyi", ".md", ".yaml", ".yml", ".toml", ".html", ".css", ".js", ".svg", ".txt"}
NOT_READ = ("tests/fixtures/", "constraints.txt")


def tracked_files() -> list[Path]:
    """The files of the project that people read."""
    listed = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    names = [name for name in listed.splitlines() if Path(name).suffix in SUFFIXES and not name.startswith(NOT_READ)]
    return [PROJECT / name for name in names if (PROJECT / name).exists()]


def findings(file: Path) -> list[str]:
    """The forbidden words of a file, each as `path:line: word (say ...)`."""
    name = file.relative_to(PROJECT).as_posix() if file.is_relative_to(PROJECT) else file.as_posix()
    allowed = ALLOWED.get(name, ())
    found = [*_in_text(file), *_in_headings(file), *_in_names(file)]
    return [
        f"{name}:{line}: {word!r} (say: {instead})"
        for line, word, instead in found
        if not any(a in word.lower() for a in allowed)
    ]


def _in_text(file: Path) -> Iterator[tuple[int, str, str]]:
    is_script = file.suffix in {".js", ".html"}
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        if is_script:
            line = line.replace("Promise", "")  # JavaScript's own name
        for pattern, instead in EVERYWHERE.items():
            for match in re.finditer(pattern, line, re.IGNORECASE):
                yield number, match[0], instead


def _in_headings(file: Path) -> Iterator[tuple[int, str, str]]:
    pattern = {".md": r"^#+ (.*)$", ".html": r"<(?:h[1-6]|title|th)[^>]*>([^<]*)<"}.get(file.suffix)
    if pattern is None:
        return
    text = file.read_text("utf-8")
    if file.suffix == ".md":
        text = re.sub(r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), text, flags=re.M | re.S)
    for number, line in enumerate(text.splitlines(), 1):
        for heading in re.findall(pattern, line):
            for word, instead in IN_HEADINGS.items():
                if match := re.search(word, heading, re.IGNORECASE):
                    yield number, heading[max(0, match.start()) : match.end()], instead


def _in_names(file: Path) -> Iterator[tuple[int, str, str]]:
    """Names defined in Python, keys of dictionaries and strings that are flags; keys of YAML."""
    if file.suffix in {".py", ".pyi"}:
        named = _python_names(ast.parse(file.read_text("utf-8")))
    elif file.suffix in {".yaml", ".yml"}:
        lines = enumerate(file.read_text("utf-8").splitlines(), 1)
        named = ((number, m[1]) for number, line in lines if (m := re.match(r"\s*(?:- )?([A-Za-z_]\w*):", line)))
    else:
        return
    for number, name in named:
        for pattern, instead in IN_NAMES.items():
            if re.search(pattern, name):
                yield number, name, instead


def _python_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Dict():
                for key in node.keys:
                    if isinstance(key, ast.Constant) and isinstance(key.value, str) and key.value.isidentifier():
                        yield key.lineno, key.value
            case ast.Constant(value=str(text)) if re.fullmatch(r"--[a-z][a-z0-9-]*", text):
                yield node.lineno, text[2:].replace("-", "_")


def test_no_forbidden_word_stands_in_a_name_a_key_a_flag_a_heading_or_a_document():
    found = [line for file in tracked_files() for line in findings(file)]
    assert not found, "\n".join(found[:60]) + f"\n{len(found)} forbidden words"


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("a.md", "# What the pictures show\n", "pictures"),
        ("a.py", "num_answers = 3\n", "num_answers"),
        ("a.py", 'KEY = {"answer": 1}\n', "answer"),
        ("a.py", 'parser.add_argument("--max-words")\n', "max_words"),
        ("a.yaml", "answer_count: 3\n", "answer_count"),
        ("a.md", "# The network\n", "network"),
        ("a.html", "<h2>Answers</h2>", "Answers"),
        ("a.py", "# was left out of the table\n", "left out"),
    ],
)
def test_a_forbidden_word_is_found(tmp_path, name, text, word):
    (tmp_path / name).write_text(text)
    assert word in " ".join(findings(tmp_path / name))


def test_a_document_may_quote_commands_and_code():
    assert not [line for line in findings(PROJECT / "LICENSE") if "network" in line]


if __name__ == "__main__":
    sys.stdout.write("\n".join(line for name in sys.argv[1:] for line in findings(Path(name).resolve())))
