"""Where results lie: each component is computed once per recipe and published by one rename.

An artifact is the directory `root/<component>/<first 16 digits of the recipe's SHA-256>` (`pipeline.engine.fingerprints`); it is
complete by construction, since it gets that name only after the last file was written. Inside, `recipe.json` is the lineage:
follow `inputs`; `contents.json` lists the files, by which damage is found later (`pipeline.engine.contents`); `made_from.json`
says by one digest what each input held. Standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib
import shutil

from pipeline.engine import explain, progress
from pipeline.engine.ancestry import RECIPE
from pipeline.engine.contents import MANIFEST, damage, file_digest, shorten, trust, write_manifest
from pipeline.engine.files import read_json, write_json, write_text
from pipeline.engine.fingerprints import Artifact, describe

MADE_FROM = "made_from.json"
"""In an artifact: the digest of the manifest of each input when the component read it."""

SCRATCH, IN_USE = ".scratch", "in_use"
"""Below `root`: where components work, and in it the file that every run locks, so that nothing it needs is removed."""


class Store:
    """Runs each component once per recipe, keeping the results below `root`.

    Args:
        root: a local folder, made when missing. Remote ones have no atomic rename and are refused.
        forced: names of components that compute again even if they are finished.
        required: names of components that must be finished, and are not computed.
        explain: compute and write nothing; report of each component whether it would run, and why. A fingerprint is that of a
            recipe, so it is known before the result exists.
        verify: compare the digests of every result that counts as finished, not only of those that are about to be read.

    Raises:
        ValueError: `root` is the address of a remote file system.
    """

    def __init__(self, root, *, forced=(), required=(), explain=False, verify=False):
        if "://" in str(root):
            raise ValueError(
                f"`root` must be a local folder, since results are published by rename. Received: root={root}. "
                "Choose a local --root, and copy the finished folder."
            )
        self.root = pathlib.Path(root)
        self.forced, self.required = frozenset(forced), frozenset(required)
        self.explain, self.verify = explain, verify
        self._in_use = None
        self._runs = {}  # arguments of `_finish` by fingerprint, to make a result again that turns out to be damaged

    def run(self, component, config, *, choices=None, resume=False, valid=None, **inputs) -> Artifact:
        """Returns the artifact of `component(out, config, **inputs)`, made now or earlier.

        An earlier result counts as long as it is undamaged and was made from the results that its inputs are now. Sizes are
        compared in every run, digests where another component is about to read the result. A damaged one is named and made again.

        Args:
            component: function that writes only below `out` and reads only its inputs.
            config: frozen dataclass of JSON values; everything that changes the result.
            choices: which of several modules the settings use, a network's for example; see `code_digests.code`.
            resume: keep the scratch folder of a killed run, from which the component resumes.
            valid: `valid(path) -> bool`, called with a cached artifact whose effect lies outside `root`.
            **inputs: `Artifact`s, passed as paths; `Untracked`s, passed as their values and not hashed.

        Raises:
            ValueError: the component is `required` and not finished, external data changed while it read them, or an input that
                cannot be made again is damaged.
            FileNotFoundError: an input vanished while it worked.
        """
        name = component.__name__
        recipe, fingerprint = describe(component, config, choices, inputs)
        artifact = Artifact(self.root / name / fingerprint[:16], fingerprint)
        if self.explain or name in self.required:
            self._report(name, json.loads(recipe), artifact.path, inputs, valid)
            return artifact
        run = component, config, recipe, artifact, inputs, resume, valid
        self._finish(*run, digests=self.verify)
        self._runs[fingerprint] = run
        return artifact

    def _finish(self, component, config, recipe, artifact, inputs, resume, valid, *, digests, silent=False):
        """Computes the result unless it is finished and sound."""
        name, final = component.__name__, artifact.path
        scratch = self._enter(name, artifact.fingerprint, resume)
        with _locked(scratch.with_suffix(".lock")):
            if not resume:
                shutil.rmtree(scratch, ignore_errors=True)
            if _is_obstacle(final):
                progress.print_status(name, f"will run: {_no_folder(final)}")
            if final.is_dir() and (silent or name not in self.forced):
                fault = self._fault(final, inputs, valid, digests)
                if not fault:
                    if not silent:
                        progress.print_status(name, f"cached  {final}")
                    return
                progress.print_status(name, f"will run: {fault}")
            scratch.mkdir(exist_ok=True)
            try:
                if not _has_ended(scratch, recipe):
                    self._check_inputs(name, inputs)
                    made_from = self._made_from(inputs)
                    _call(component, scratch, config, inputs)
                    write_json(scratch / MADE_FROM, made_from)
                    write_text(scratch / RECIPE, recipe)
                write_manifest(scratch)
            except BaseException:
                if not resume:  # leave nothing behind, least of all on a full disk
                    shutil.rmtree(scratch, ignore_errors=True)
                raise
            _publish(scratch, final)
            trust(final)

    def join(self, component, config, *, choices=None, **inputs):
        """Takes part in what another machine runs with these arguments, unless it is finished; keeps no result.

        Args:
            component: called with the folder in which the other machine works, to read from.
            config: as for `run`.
            choices: as for `run`.
            **inputs: as for `run`.
        """
        name = component.__name__
        _, fingerprint = describe(component, config, choices, inputs)
        final = self.root / name / fingerprint[:16]
        if final.is_dir() and name not in self.forced and not self._fault(final, inputs, None, self.verify):
            progress.print_status(name, f"cached  {final}")
            return
        _call(component, self._enter(name, fingerprint, resume=True), config, inputs)

    def _report(self, name, recipe, final, inputs, valid):
        """Says whether the component would run, and why; refuses to go on without it where it is required."""
        reason = self._reason_to_run(name, recipe, final, inputs, valid)
        if reason and not self.explain:
            raise ValueError(
                f"What comes before must be finished. Received: {name} is not: {reason}. Run up to it with --until {name}."
            )
        progress.print_status(name, f"will run: {reason}" if reason else f"cached  {final}")

    def _reason_to_run(self, name, recipe, final, inputs, valid) -> str:
        """Why the component would run; empty where it is finished."""
        if _is_obstacle(final):
            return _no_folder(final)
        if not final.is_dir():
            return "; ".join(explain.reasons(recipe, final.parent))
        if name in self.forced:
            return "it is forced"
        return self._fault(final, inputs, valid, self.verify)

    def _fault(self, final, inputs, valid, digests) -> str:
        """Why a finished result does not count; empty where it does."""
        if not (final / MANIFEST).is_file():
            return f"its result has no {MANIFEST} to be checked by [{final}]"
        if damaged := damage(final, digests=digests):
            return f"its result is damaged: {shorten(damaged)} [{final}]"
        made_from = read_json(final / MADE_FROM, {})
        if others := [name for name, digest in self._made_from(inputs).items() if made_from.get(name) != digest]:
            return f"{', '.join(others)} had other contents when it ran"
        return "" if valid is None or valid(final) else "what it left outside is gone"

    def _made_from(self, inputs) -> dict[str, str]:
        """Digest of what each input holds that is a result of this store: one recipe may give other bytes another time."""
        manifests = {
            name: pathlib.Path(value.path) / MANIFEST for name, value in inputs.items() if self._is_ours(value)
        }
        return {name: file_digest(manifest) for name, manifest in manifests.items() if manifest.is_file()}

    def _is_ours(self, value) -> bool:
        return isinstance(value, Artifact) and self.root in pathlib.Path(value.path).parents

    def _check_inputs(self, name, inputs):
        """Compares the digests of what the component is about to read, and makes damaged results again.

        Raises:
            ValueError: a damaged one was not made by this process.
        """
        for value in inputs.values():
            if not isinstance(value, Artifact) or value.rehash:
                continue
            folder, run = pathlib.Path(value.path), self._runs.get(value.fingerprint)
            if run:
                self._finish(*run, digests=True, silent=True)
            elif (folder / MANIFEST).is_file():  # of an earlier run, or a pushed version
                _refuse_damage(name, folder, self._is_ours(value))

    def _enter(self, name, fingerprint, resume) -> pathlib.Path:
        """Where the component works; from now on the store is in use, after waiting for whoever clears it."""
        scratch = self.root / SCRATCH / name / fingerprint[:16]
        scratch.parent.mkdir(parents=True, exist_ok=True)
        if _is_obstacle(self.root / name):
            raise ValueError(
                f"The place of results must be a folder. Received: a file or a link to nothing [{self.root / name}]. Remove it."
            )
        if self._in_use is None:
            self._in_use = open(self.root / SCRATCH / IN_USE, "w")  # noqa: SIM115  (closed with the store)
            fcntl.flock(self._in_use, fcntl.LOCK_SH)
        if not resume:
            _remove_leftovers(scratch.parent)
        return scratch


def _refuse_damage(name, folder, ours):
    if damaged := damage(folder):
        cure = f"Make it again with --until {folder.parent.name} --verify" if ours else "Restore it"
        raise ValueError(
            f"What a component reads must be as it was written. Received: {shorten(damaged)} [{folder}], which {name} reads. "
            f"{cure}, or remove that folder."
        )


def _remove_leftovers(folder: pathlib.Path):
    """Removes what killed runs left in the scratch folder of a component: all that nobody has locked."""
    for left in (path for path in folder.iterdir() if path.is_dir()):
        with contextlib.suppress(BlockingIOError), _locked(left.with_suffix(".lock"), fcntl.LOCK_NB):
            shutil.rmtree(left, ignore_errors=True)


def _call(component, out, config, inputs):
    with progress.component(component.__name__), _refusing_changed(component.__name__, inputs):
        values = {name: value.path if isinstance(value, Artifact) else value.value for name, value in inputs.items()}
        component(out, config, **values)


def _has_ended(scratch, recipe: str) -> bool:
    """Whether a killed run was only to publish what lies here."""
    return (scratch / RECIPE).is_file() and (scratch / RECIPE).read_bytes() == recipe.encode()


def _is_obstacle(final) -> bool:
    """Whether a file, a pipe or a link to nothing stands where a result belongs."""
    return os.path.lexists(final) and not final.is_dir()


def _no_folder(final) -> str:
    return f"its result is no folder [{final}]"


def _publish(scratch, final):
    """Gives the finished folder its name, replacing an earlier result."""
    final.parent.mkdir(parents=True, exist_ok=True)
    earlier = scratch.with_suffix(".old")
    shutil.rmtree(earlier, ignore_errors=True)
    if final.is_dir():
        os.rename(final, earlier)
    elif _is_obstacle(final):
        final.unlink()
    os.rename(scratch, final)
    shutil.rmtree(earlier, ignore_errors=True)


@contextlib.contextmanager
def _refusing_changed(name, inputs):
    """Refuses what the block made if its inputs changed or vanished meanwhile: then the recipe does not describe it."""
    present = [value for value in inputs.values() if isinstance(value, Artifact) and pathlib.Path(value.path).exists()]
    try:
        yield
    except Exception as error:
        _refuse_vanished(name, present, error)
        raise
    _refuse_vanished(name, present, None)
    for value in inputs.values():
        if isinstance(value, Artifact) and value.rehash and _now(value) != value.fingerprint:
            raise ValueError(
                f"Data must not change while they are read. Received: other files or contents after {name} [{value.path}]. "
                "Give the same command again when nobody writes there."
            )


def _now(value: Artifact) -> str | None:
    """The fingerprint of external data as they are now; None where they are no such data any more."""
    try:
        return value.rehash()
    except (ValueError, OSError):
        return None


def _refuse_vanished(name, present, cause):
    gone = [str(value.path) for value in present if not pathlib.Path(value.path).exists()]
    if gone:
        raise FileNotFoundError(
            f"Inputs must stay while they are read. Received: {', '.join(gone)} vanished while {name} worked. Bring them back "
            "and give the same command again: what is finished is kept."
        ) from cause


@contextlib.contextmanager
def _locked(path, flags=0):
    """Holds an exclusive lock on `path`; a second run of the same recipe waits here and then finds the result."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | flags)
        yield
