"""Where results lie: each component is computed once per recipe and published by one rename.

An artifact is the directory `root/<component>/<first 16 digits of the recipe's SHA-256>` (`pipeline.engine.fingerprints`); it is
complete by construction, since it gets that name only after the last file was written. `recipe.json` inside is the lineage:
follow `inputs`. Standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib
import shutil

from pipeline.engine import explain, progress
from pipeline.engine.fingerprints import Artifact, describe

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

    Raises:
        ValueError: `root` is the address of a remote file system.
    """

    def __init__(self, root, *, forced=(), required=(), explain=False):
        if "://" in str(root):
            raise ValueError(
                f"`root` must be a local folder, since results are published by rename. Received: root={root}. "
                "Choose a local --root, and copy the finished folder."
            )
        self.root = pathlib.Path(root)
        self.forced, self.required, self.explain = frozenset(forced), frozenset(required), explain
        self._in_use = None

    def run(self, component, config, *, choices=None, resume=False, valid=None, **inputs) -> Artifact:
        """Returns the artifact of `component(out, config, **inputs)`, made now or earlier.

        Args:
            component: function that writes only below `out` and reads only its inputs.
            config: frozen dataclass of JSON values; everything that changes the result.
            choices: which of several modules the settings use, a network's for example; see `code_digests.code`.
            resume: keep the scratch folder of a killed run, from which the component resumes.
            valid: `valid(path) -> bool`, called with a cached artifact whose effect lies outside `root`.
            **inputs: `Artifact`s, passed as paths; `Untracked`s, passed as their values and not hashed.

        Raises:
            ValueError: the component is `required` and not finished, or external data changed while it read them.
            FileNotFoundError: an input vanished while it worked.
        """
        name = component.__name__
        recipe, fingerprint = describe(component, config, choices, inputs)
        final = self.root / name / fingerprint[:16]
        if self.explain or name in self.required:
            self._report(name, json.loads(recipe), final, valid)
            return Artifact(final, fingerprint)
        scratch = self._enter(name, fingerprint)
        with _locked(scratch.with_suffix(".lock")):
            if final.is_dir() and name not in self.forced and (valid is None or valid(final)):
                progress.print_status(name, f"cached  {final}")
                return Artifact(final, fingerprint)
            if not resume:
                shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(exist_ok=True)
            try:
                _call(component, scratch, config, inputs)
                (scratch / "recipe.json").write_text(recipe, encoding="utf-8")
            except BaseException:
                if not resume:  # leave nothing behind, least of all on a full disk
                    shutil.rmtree(scratch, ignore_errors=True)
                raise
            _publish(scratch, final)
        return Artifact(final, fingerprint)

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
        if name in self.required or (final.is_dir() and name not in self.forced):
            progress.print_status(name, f"cached  {final}")
            return
        _call(component, self._enter(name, fingerprint), config, inputs)

    def _report(self, name, recipe, final, valid):
        """Says whether the component would run, and why; refuses to go on without it where it is required."""
        reason = self._reason_to_run(name, recipe, final, valid)
        if reason and not self.explain:
            raise ValueError(
                f"What comes before must be finished. Received: {name} is not: {reason}. Run up to it with --until {name}."
            )
        progress.print_status(name, f"will run: {reason}" if reason else f"cached  {final}")

    def _enter(self, name, fingerprint) -> pathlib.Path:
        """Where the component works; from now on the store is in use, after waiting for whoever clears it."""
        scratch = self.root / SCRATCH / name / fingerprint[:16]
        scratch.parent.mkdir(parents=True, exist_ok=True)
        if self._in_use is None:
            self._in_use = open(self.root / SCRATCH / IN_USE, "w")  # noqa: SIM115  (closed with the store)
            fcntl.flock(self._in_use, fcntl.LOCK_SH)
        return scratch

    def _reason_to_run(self, name, recipe, final, valid) -> str:
        """Why the component would run; empty where it is finished."""
        if not final.is_dir():
            return "; ".join(explain.reasons(recipe, final.parent))
        if name in self.forced:
            return "it is forced"
        return "" if valid is None or valid(final) else "what it left outside is gone"


def _call(component, out, config, inputs):
    with progress.component(component.__name__), _refusing_changed(component.__name__, inputs):
        values = {name: value.path if isinstance(value, Artifact) else value.value for name, value in inputs.items()}
        component(out, config, **values)


def _publish(scratch, final):
    """Gives the finished folder its name, replacing an earlier result."""
    final.parent.mkdir(parents=True, exist_ok=True)
    earlier = scratch.with_suffix(".old")
    shutil.rmtree(earlier, ignore_errors=True)
    if final.is_dir():
        os.rename(final, earlier)
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
    for value in present:
        if value.rehash and value.rehash() != value.fingerprint:
            raise ValueError(
                f"Data must not change while they are read. Received: other files or contents after {name} [{value.path}]. "
                "Give the same command again when nobody writes there."
            )


def _refuse_vanished(name, present, cause):
    gone = [str(value.path) for value in present if not pathlib.Path(value.path).exists()]
    if gone:
        raise FileNotFoundError(
            f"Inputs must stay while they are read. Received: {', '.join(gone)} vanished while {name} worked. Bring them back "
            "and give the same command again: what is finished is kept."
        ) from cause


@contextlib.contextmanager
def _locked(path):
    """Holds an exclusive lock on `path`; a second run of the same recipe waits here and then finds the result."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
