"""The versions of a model in memory: the newest good ones of its folder, which is watched for new versions and rollbacks.

A new version is loaded and asked once before any client sees it; then one assignment switches. Requests that started on the old
version hold it, and are finished by it; then it is dropped. A version that is damaged or does not load is named in the log, and
tried again when its files change; until then the next older one is served. Where no version is left, the last ones stay.
"""

from __future__ import annotations

import gc
import pathlib
import threading
import weakref
from collections.abc import Callable, Mapping

from pipeline.engine import contents
from pipeline.publishing.entries import list_versions, model_damage
from pipeline.server.errors import Code, RequestError


class Versions:
    """Loads and watches the versions of a model.

    Args:
        folder: of the model.
        load: function of the folder of a version and its number that returns the loaded version; raises ValueError where it
            cannot.
        number: how many of the newest versions are served.
        poll: seconds between two looks at the folder.
        log: function of a word for what happened and its details, such as `log("version_served", version=7)`.
    """

    def __init__(self, folder: pathlib.Path, load: Callable, *, number: int, poll: float, log: Callable):
        self.folder, self._load, self._number, self._poll, self._log = folder, load, number, poll, log
        self._served: Mapping[int, object] = {}
        self._loading: int | None = None
        self._unloading: dict[int, weakref.ref] = {}
        self._failed: dict[int, tuple] = {}
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="versions", daemon=True)

    def start(self):
        """Loads the newest versions, and starts to watch.

        Raises:
            ValueError: there is no good version.
        """
        self.update()
        if not self._served:
            found = list_versions(self.folder)
            cure = "See the messages above." if found else "`python -m pipeline.run` pushes one to savedmodels/NAME."
            raise ValueError(
                f"A model must have a version that can be served. Received: {self.folder} with versions {found}. {cure}"
            )
        self._watcher.start()

    def stop(self):
        """Stops watching."""
        self._ended.set()
        if self._watcher.is_alive():
            self._watcher.join()

    def get(self, number: int | None = None):
        """The version of this number, or the newest one.

        Raises:
            RequestError: it is not served.
        """
        served = self._served  # one look: the watcher may replace it
        if number is None:
            return served[max(served)]
        if number not in served:
            raise RequestError(
                Code.NOT_FOUND,
                f"The version must be one that is served: {', '.join(map(str, sorted(served)))}. Received: {number}.",
            )
        return served[number]

    def served(self) -> dict[int, object]:
        """The versions that can be asked, by number."""
        return dict(self._served)

    def states(self) -> dict[int, str]:
        """The state of each version in memory, by number: "LOADING", "AVAILABLE" or "UNLOADING"."""
        served = self._served  # before the others: a version that is replaced meanwhile is among those by then
        unloading = {number: "UNLOADING" for number, old in self._unloading.copy().items() if old() is not None}
        loading = {} if self._loading is None else {self._loading: "LOADING"}
        return unloading | loading | dict.fromkeys(served, "AVAILABLE")

    def update(self):
        """Looks at the folder once: loads what is new, then switches, then drops what is gone."""
        served, wanted = self._served, {}
        for number in reversed(list_versions(self.folder)):
            if len(wanted) == self._number:
                break
            model = served.get(number) or self._try_to_load(number)
            if model:
                wanted[number] = model
                if number not in served:
                    self._switch({**self._served, number: model})
        if wanted:
            self._switch(wanted)

    def _switch(self, served: dict):
        """Serves these versions and no others."""
        before = self._served
        gone = before.keys() - served.keys()
        self._unloading.update((number, weakref.ref(before[number])) for number in gone)  # first: see `states`
        self._served = served
        for number in served.keys() - before.keys():
            self._log("version_served", version=number)
        for number in gone:
            self._log("version_replaced", version=number)

    def _drop(self):
        """Frees the versions whose requests are finished."""
        if not self._unloading:
            return
        gc.collect()  # a SavedModel is a circle of references
        for number, old in list(self._unloading.items()):
            if old() is None:
                del self._unloading[number]
                self._log("version_dropped", version=number)

    def _try_to_load(self, number: int):
        """The version, or None where it is damaged or does not load, which is said once for each state of its files."""
        place = self.folder / str(number)
        stamp = _stamp(place)
        if self._failed.get(number) == stamp:
            return None
        self._loading = number
        try:
            if damage := model_damage(place):
                raise ValueError(f"its files are not those that were pushed: {contents.shorten(damage)}")
            self._failed.pop(number, None)
            return self._load(place, number)
        except (ValueError, OSError) as error:
            self._failed[number] = stamp
            self._log("version_refused", version=number, reason=str(error))
            return None
        finally:
            self._loading = None

    def _watch(self):
        while not self._ended.wait(self._poll):
            try:
                self.update()
            except Exception as error:  # a look that fails must not end the watch
                self._log("watch_failed", reason=f"{type(error).__name__}: {error}")
            self._drop()


def _stamp(place: pathlib.Path) -> tuple:
    """What changes when files of a version change: name, size and time of each."""
    try:
        files = sorted(path for path in place.rglob("*") if path.is_file())
        return tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files)
    except OSError:
        return ()
