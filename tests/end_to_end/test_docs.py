"""What the documents say: commands compose, keys and defaults are real, presets are all named, links lead somewhere."""

import functools
import json
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from command import command
from imgrec.cli.app import VERBS
from imgrec.core.config.build import check, check_complete, config_dir, store_open_groups
from imgrec.core.config.overrides import CommandLine, quote, read_command_line
from project import PROJECT

CONF = config_dir()
PAGES = [
    PROJECT / "README.md",
    PROJECT / "CHANGELOG.md",
    PROJECT / "CONTRIBUTING.md",
    *sorted((PROJECT / "docs").glob("*.md")),
]
TEXTS = {page.relative_to(PROJECT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
CONFIGURATION = TEXTS["docs/configuration.md"]
GROUPS = sorted(folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name != "hydra")
OWN_FOLDER = "my_conf"  # what the documents call a folder of the reader's own presets
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CELLS = re.compile(r"^\| \**`([^`|]+)`\** \| (.*?) \|", re.MULTILINE)


def commands() -> Iterator[tuple[str, str]]:
    """Yield (verb, the arguments after it) of every command in a shell block or between backticks."""
    for page, text in TEXTS.items():
        if page == "CONTRIBUTING.md":
            continue  # its commands run in test_docs_contributing.py, with the package that they need
        shell = [line for kind, body in FENCE.findall(text) if kind == "bash" for line in body.splitlines()]
        inline = re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
        for line in [*shell, *inline]:
            found = re.match(r"(?:python (\w+)\.py|imgrec (\w+))\b(.*)", line)
            if found and (found[1] or found[2]) in VERBS:
                yield found[1] or found[2], found[3].strip()


COMPOSED = ("train", "evaluate")  # verbs that take key=value arguments; the others take options
COMMANDS = sorted({(verb, arguments) for verb, arguments in commands() if verb in COMPOSED})
OPTION_COMMANDS = sorted(set(commands()) - set(COMMANDS))


@pytest.fixture(scope="module")
def own_presets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader's own presets, as the documents show them."""
    folder = tmp_path_factory.mktemp("presets")
    for text in TEXTS.values():
        for kind, body in FENCE.findall(text):
            if kind == "yaml" and body.startswith(f"# {OWN_FOLDER}/"):
                name, _, content = body.partition("\n")
                path = folder / name.removeprefix("# ")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content, encoding="utf-8")
    return folder / OWN_FOLDER


def read(arguments: str) -> CommandLine:
    """Read a command line; `...` alone stands for whatever the reader adds."""
    return read_command_line([argument for argument in shlex.split(arguments, comments=True) if argument != "..."])


def jobs(line: CommandLine) -> Iterator[list[str]]:
    """Yield the overrides of each job of a sweep, or those of the one run."""
    choices = [
        [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
        if override.is_sweep_override()
        else [str(override.input_line)]
        for override in OverridesParser.create().parse_overrides(list(line.overrides))
    ]
    yield from (list(choice) for choice in product(*choices))


def composed(name: str, *overrides: str, own: Path | None = None) -> DictConfig:
    store_open_groups()
    search = [f"hydra.searchpath=[{quote(f'file://{own}')}]"] if own else []
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(name, [*search, *overrides])


def test_the_documents_have_commands_of_all_verbs():
    assert {verb for verb, _ in [*COMMANDS, *OPTION_COMMANDS]} == set(VERBS)
    assert len(COMMANDS) > 30


@pytest.mark.parametrize(("verb", "arguments"), OPTION_COMMANDS)
def test_the_options_of_a_command_are_those_of_its_verb(verb, arguments):
    given = [argument for argument in shlex.split(arguments, comments=True) if argument != "..."]
    if not given:
        return  # the name of a verb in a sentence
    parser = import_module(VERBS[verb][0]).make_parser()
    known, others = parser.parse_known_args(given)
    assert [argument for argument in others if argument.startswith("-")] == [], parser.format_usage()
    assert known is not None


@pytest.mark.parametrize(("verb", "arguments"), COMMANDS)
def test_a_command_composes_and_its_keys_are_parameters(verb, arguments, own_presets):
    line = read(arguments)
    assert line.config_dir in (None, OWN_FOLDER)
    is_sweep = "-m" in line.flags
    for overrides in (runs := list(jobs(line))):
        config = composed(verb, *overrides, own=own_presets if line.config_dir else None)
        check_complete(config)
        check_parts(config, verb=verb)
    assert is_sweep == (len(runs) > 1), "several values go with -m, and -m with several values"


def check_parts(config: DictConfig, *, verb: str) -> None:
    """Check every key against what it is handed to, as far as that is known before anything is built."""
    if verb == "train":
        config.data.num_classes = 3  # the run would find it in the data
        check(config.classifier, class_names=["a", "b", "c"], multilabel=False)
    given = {"data": {"preprocess": None, "augment": None}, "model": {"num_classes": 3}, "preprocess": {}}
    for group, values in given.items():
        if config.get(group) and "_target_" in config[group]:
            check(config[group], **values)
    check(config.trainer, callbacks=[], logger=False, default_root_dir="out")


def test_commands_on_top_of_a_checkpoint_name_keys_that_data_have():
    """There any key composes; what a data source takes is known all the same."""
    known = {key for file in (CONF / "data").glob("*.yaml") for key in contents(file)}
    overrides = [
        override for verb, arguments in COMMANDS if verb == "evaluate" for override in read(arguments).overrides
    ]
    keys = {override.partition("=")[0].removeprefix("data.") for override in overrides if override.startswith("data.")}
    assert keys
    assert keys <= known


def contents(file: Path) -> dict[str, Any]:
    return OmegaConf.to_container(OmegaConf.load(file))


def section(title: str) -> str:
    """Return the part of docs/configuration.md under a heading, down to the next one."""
    found = re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^##|\Z)", CONFIGURATION, re.MULTILINE | re.DOTALL)
    assert found, f"docs/configuration.md has no section {title!r}"
    return found[1]


@pytest.mark.parametrize("group", GROUPS)
def test_the_table_of_a_group_names_exactly_its_files(group):
    assert sorted(name for name, _ in CELLS.findall(section(group))) == sorted(
        file.stem for file in (CONF / group).glob("*.yaml")
    )


@pytest.mark.parametrize("group", GROUPS)
def test_the_bold_file_of_a_group_is_its_default(group):
    defaults = [entry for name in ("train", "evaluate") for entry in contents(CONF / f"{name}.yaml")["defaults"]]
    chosen = next(entry[group] for entry in defaults if isinstance(entry, dict) and group in entry)
    assert re.findall(r"\*\*`(\w+)`\*\*", section(group)) == ([chosen] if chosen else [])


def test_hydra_s_own_files_are_named():
    text = section("hydra")
    files = sorted((CONF / "hydra").rglob("*.yaml"))
    assert files
    for file in files:
        assert f"`{file.relative_to(CONF).with_suffix('').as_posix()}`" in text


@functools.cache
def default_run() -> DictConfig:
    return composed("train")


def written_values(key: str) -> list[Any]:
    """Return what the default run has for a key, or else what the files of its group have."""
    missing = object()
    value = OmegaConf.select(default_run(), key, default=missing, throw_on_resolution_failure=False)
    if value is not missing:
        return [OmegaConf.to_container(value) if OmegaConf.is_config(value) else value]
    group, _, rest = key.partition(".")
    files = [contents(file) for file in (CONF / group).glob("*.yaml")]
    return [content[rest] for content in files if rest in content]


@pytest.mark.parametrize(("key", "default"), CELLS.findall(section("The keys used most")))
def test_a_key_is_there_and_its_default_is_the_one_given(key, default):
    values = written_values(key)
    assert values, f"no preset has {key}"
    if default.startswith("`"):
        # Read as the configuration is: plain YAML takes 1e-3 for text.
        given = OmegaConf.to_container(OmegaConf.create(f"value: {default.strip('`')}"))
        assert given["value"] in values


def test_every_key_at_the_top_of_train_is_in_the_table():
    keys = {key for key, value in contents(CONF / "train.yaml").items() if not isinstance(value, dict)}
    assert keys - {"defaults"} <= {key for key, _ in CELLS.findall(section("The keys used most"))}


def choosing_files() -> dict[str, list[str]]:
    """Return the files that choose preprocessing along with themselves, as the table has them: file -> choices."""
    rows = re.findall(r"^\| `(\w+=\w+)` \| (`.*?) \|", section("Which choice wins"), re.MULTILINE)
    return {file: re.findall(r"`(\w+=\w+)`", choices) for file, choices in rows}


def test_the_files_that_choose_preprocessing_are_those_in_the_table():
    names = {file: file.read_text(encoding="utf-8") for group in ("data", "model") for file in (CONF / group).iterdir()}
    assert sorted(choosing_files()) == sorted(
        f"{file.parent.name}={file.stem}" for file, text in names.items() if "override /" in text
    )


@pytest.mark.parametrize(("file", "choices"), choosing_files().items())
def test_a_file_chooses_what_the_table_says(file, choices):
    config = composed("train", "data=folder", file)
    chosen = dict(choice.split("=") for choice in ["preprocess=crop", "augment=standard", *choices])
    for group, name in chosen.items():
        assert OmegaConf.to_container(config[group]) == contents(CONF / group / f"{name}.yaml")


def names_in(page: str, title: str) -> list[str]:
    """Return what stands between backticks in the first column of the table under a heading."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", TEXTS[page], re.MULTILINE | re.DOTALL)
    assert found
    cells = re.findall(r"^\| (`.*?) \|", found[1], re.MULTILINE)
    return [name.strip("/") for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def matches(name: str, patterns: list[str]) -> bool:
    """Tell whether a name is among those of a table, in which `...`, NAME and CLASS stand for anything."""
    return any(re.fullmatch(re.sub(r"\\\.\\\.\\\.|NAME|CLASS", ".+", re.escape(entry)), name) for entry in patterns)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    short = ("trainer.gpus=0", "trainer.max_epochs=2", "+trainer.limit_train_batches=2", f"run_dir={quote(folder)}")
    done = command("train", "hydra.job.name=train", *short)  # a script's name, which is pytest's here
    assert done.code == 0, done.err
    return folder


@pytest.mark.slow
def test_a_run_folder_holds_what_the_table_says(run):
    written = {path.name for path in run.iterdir()}
    named = set(names_in("docs/training.md", "The run folder"))
    assert written == named - {"error.log", "nonfinite.json", "earlier-1", "earlier-2"}


@pytest.mark.slow
def test_an_evaluation_leaves_what_the_table_says(run):
    written = {path.name for path in (run / "evaluation").iterdir()}
    # result.json is of evaluate.py alone: train.py writes one for the whole run.
    assert written | {"result.json"} == {
        name for name in names_in("docs/evaluation.md", "Files") if re.search(r"\.(png|json|csv|parq|html)", name)
    }


@pytest.mark.slow
def test_the_table_of_predictions_has_the_columns_that_are_described(run):
    from pyarrow.parquet import read_schema

    columns = read_schema(run / "evaluation" / "predictions.parquet").names
    described = names_in("docs/evaluation.md", "Files")
    assert columns == described[described.index("path") : described.index("path_exact")]


@pytest.mark.slow
def test_metrics_are_those_that_are_described(run):
    scores = json.loads((run / "evaluation" / "metrics.json").read_text())
    described = names_in("docs/evaluation.md", "Metrics")
    assert set(scores) <= set(described)
    assert set(described) - set(scores) == {
        *("subset_accuracy", "hamming_loss", "samples", "micro"),  # of several labels an image
        *("sensitivity", "specificity", "ppv", "npv"),  # in the rows of per_class
    }


@pytest.mark.slow
def test_tags_in_tensorboard_are_those_that_are_described(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard")).Reload()
    tags = {*events.Tags()["scalars"], *events.Tags()["images"], *events.Tags()["tensors"]}
    described = names_in("docs/training.md", "TensorBoard")
    assert [tag for tag in sorted(tags) if not matches(tag, described)] == []
    assert [entry for entry in described if not any(matches(tag, [entry]) for tag in tags)] == []


def slugs(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


LINKS = sorted(
    {(page, target) for page, text in TEXTS.items() for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", text))}
)


@pytest.mark.parametrize(("page", "target"), [link for link in LINKS if "://" not in link[1]])
def test_a_relative_link_resolves(page, target):
    name, _, anchor = target.partition("#")
    path = (PROJECT / page).parent / name if name else PROJECT / page
    assert path.exists()
    assert not anchor or anchor in slugs(path.read_text(encoding="utf-8"))


def test_every_page_is_linked_from_the_readme():
    linked = {target for page, target in LINKS if page == "README.md"}
    assert {page for page in TEXTS if page != "README.md"} <= linked
