"""Which manifest is translated by what, and the report about all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rich.text import Text

from flinkjob.cli.manifests import Manifest
from flinkjob.cli.migrate import official, snapshot, spotify
from flinkjob.cli.migrate.fields import Migration, Weight
from flinkjob.cli.texts import BAD, BUSY, FAINT, HEAD, text
from flinkjob.cli.validate import findings, is_ours

TRANSLATIONS: Final[Mapping[tuple[str, str], Callable[[Migration], None]]] = {
    (official.GROUP, "FlinkSessionJob"): official.session_job,
    (official.GROUP, "FlinkDeployment"): official.deployment,
    (official.GROUP, "FlinkStateSnapshot"): snapshot.snapshot,
    (spotify.GROUP, "FlinkCluster"): spotify.cluster,
}
_STYLES: Final = {Weight.MUST: BAD, Weight.CHECK: BUSY, Weight.LOST: FAINT}


def migrate(manifest: Manifest) -> Migration | None:
    """What a manifest becomes; None for a kind that no Flink operator has."""
    group = str(manifest.body.get("apiVersion") or "").partition("/")[0]
    translate = TRANSLATIONS.get((group, str(manifest.body.get("kind"))))
    if translate is None:
        return None
    migration = Migration(source=manifest)
    if not isinstance(manifest.body.get("spec"), Mapping):
        migration.note(Weight.MUST, "spec", "is missing: there is nothing to translate")
        return migration
    translate(migration)
    for body in migration.made:
        made = Manifest(place=manifest.place, body=body)
        for found in findings(made) if is_ours(made) else ():
            migration.note(Weight.MUST, "", f"{made.name}: {found.words}")
    return migration


def needs_a_person(migrations: Sequence[Migration]) -> bool:
    """Whether something of it cannot be used as it is."""
    return any(note.weight is Weight.MUST for each in migrations for note in each.notes)


def report(migrations: Sequence[Migration], *, others: int = 0) -> list[Text]:
    """The lines of the report: what each manifest became, what to look at, and how to move what runs.

    Args:
        others: how many manifests of other kinds there were.
    """
    lines: list[Text] = []
    for each in migrations:
        made = ", ".join(Manifest(place="", body=body).name for body in each.made) or "nothing"
        lines.append(text(f"{each.source.place}: {each.source.name} → {made}", HEAD))
        for note in sorted(each.notes, key=lambda note: list(Weight).index(note.weight)):
            where = f"{note.path}: " if note.path else ""
            line = Text("  ").append(f"{note.weight:<6}", _STYLES[note.weight])
            lines.append(line.append_text(text(f"{where}{note.words}")))
        lines += [
            Text("  ").append(" " * (len(step) - len(step.lstrip()))).append_text(text(step)) for step in each.steps
        ]
    count = sum(len(each.made) for each in migrations)
    notes = [note.weight for each in migrations for note in each.notes]
    counts = ", ".join(f"{notes.count(weight)} {weight}" for weight in Weight)
    left = f", {others} of other kinds not looked at and not in the result" if others else ""
    lines.append(Text(f"{len(migrations)} manifests became {count}; {counts}{left}", FAINT))
    return lines
