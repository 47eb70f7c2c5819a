"""``geosam words``: the words that are known, and those that a user teaches."""

from pathlib import Path
from typing import Annotated

import typer

from geosam.cli.options import WordFiles
from geosam.cli.scenes import Store

words = typer.Typer(
    name="words", help="Words that text prompts know: list them, teach others by examples.", no_args_is_help=True
)


@words.command("list")
def list_words(
    files: WordFiles = None,
    language: Annotated[str, typer.Option(help="Language of the other names that are shown, as `de`.")] = "en",
) -> None:
    """List the words that text prompts know, the scale that each is looked at with, and other names for it."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from geosam.pipeline.reading import own_words
    from geosam.recognition.vocabulary import names_in

    table = Table("word", "--scale", "where", "also", box=None, pad_edge=False)
    for word, path in own_words(files or ()).values():
        table.add_row(escape(word.word), word.scale, escape(str(path)), "")
    for known, others in names_in(language):
        table.add_row(known.word, known.scale, "built in", escape(", ".join(others[:6])))
    Console().print(table)


@words.command("add")
def add_word(
    word: Annotated[str, typer.Argument(help="What it is called from now on.")],
    examples: Annotated[
        str, typer.Option(help="Vector file with examples: polygons, points or boxes; five are enough.")
    ],
    scene: Annotated[str, typer.Option(help="The raster that they lie on.")],
    wrong: Annotated[
        str | None, typer.Option("--not", help="Vector file of what it is not; none: ground beside the examples.")
    ] = None,
    scale: Annotated[
        str | None, typer.Option(help="What it is looked at with: `vehicles`, `buildings`, `fields`, `landscape`.")
    ] = None,
    to: Annotated[Path | None, typer.Option(help="File to keep it in, .safetensors; default: your own folder.")] = None,
    store: Store = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a word of that name.")] = False,
) -> None:
    """Teach a word by a few examples; `--text` knows it from then on."""
    from geosam.cli.show import shown
    from geosam.pipeline.teaching import checked_word, keep, teach, word_path
    from geosam.recognition import load_vocabulary
    from geosam.sinks.places import check_path

    target = to or word_path(checked_word(word))
    if to is not None or target.exists():
        check_path(
            target, (".safetensors",), overwrite=overwrite, inputs=[examples, scene, *([wrong] if wrong else [])]
        )
    kept = None if store == "none" else store
    learned = teach(word, scene, examples, wrong=wrong, scale=scale or "", store=kept)
    place = keep(learned, to, overwrite=overwrite)
    known = load_vocabulary().find(word)
    if known is not None:
        typer.echo(f"{word!r} is also built in, as {known.word!r}: yours goes first")
    right, other = learned.facts["examples"]
    typer.echo(f"{learned.word!r} from {right} examples, and {other} of what it is not")
    typer.echo(f"  {shown(place)}")


@words.command("remove")
def remove_word(word: Annotated[str, typer.Argument(help="A word of your own.")]) -> None:
    """Forget a word that you taught."""
    from geosam.cli.show import shown
    from geosam.pipeline.teaching import forget

    typer.echo(f"removed {shown(forget(word))}")


@words.command("show")
def show_word(
    word: Annotated[str, typer.Argument(help="A word of your own, a file of one, or any word that is built in.")],
) -> None:
    """Say what a word means, what it is looked at with, and what else it is called."""
    from geosam.cli.show import shown
    from geosam.display import shown as plain
    from geosam.pipeline.teaching import find_word
    from geosam.recognition import load_vocabulary, read_word
    from geosam.recognition.learned import SUFFIX
    from geosam.recognition.vocabulary import LANGUAGES, names_in

    known = load_vocabulary().find(word)
    if known is not None:
        typer.echo(f"{known.word}: built in, kind {known.kind}, --scale {known.scale}")
        for language in LANGUAGES:
            others = next(names for each, names in names_in(language) if each == known)
            typer.echo(f"  {language}  {', '.join(others)}")
        return
    is_file = word.lower().endswith(SUFFIX)
    learned, path = (read_word(word), Path(word)) if is_file else find_word(word)
    typer.echo(f"{plain(learned.word)}: {len(learned.right)} examples, {len(learned.wrong)} of what it is not")
    for name, value in learned.facts.items():
        typer.echo(f"  {plain(name)}  {plain(value)}")
    typer.echo(f"  --scale  {learned.scale or '(the own pixel of a scene)'}")
    typer.echo(f"  {shown(path)}")
