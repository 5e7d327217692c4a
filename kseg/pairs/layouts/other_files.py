"""What to do with files of formats that are not read: archives, arrays of other programs, volumes. Standard library only."""

from __future__ import annotations

import collections
import os
import pathlib
import shlex

from kseg.pairs.folder_files import walk_files

TAR = (".tar", ".tgz", ".tbz2", ".txz", ".gz", ".bz2", ".xz", ".zst")
UNPACK = {
    ".zip": "unzip -q {file} -d {folder}",
    ".7z": "7z x {file} -o{folder}",
    ".rar": "unrar x {file} {folder}/",
    **dict.fromkeys(
        (".tar", ".tgz", ".tbz2", ".txz", ".gz", ".bz2", ".xz", ".zst"), "mkdir {folder} && tar -xf {file} -C {folder}"
    ),
}
ARRAYS = (".mat", ".h5", ".hdf5", ".pkl", ".pickle", ".pt", ".pth")
VOLUMES = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".dcm", ".dicom")
MANY = 10_000  # files that are looked at


def unpack_command(path: pathlib.Path) -> str | None:
    """The command that unpacks an archive into a folder of its name; None for another file."""
    suffix = path.suffix.lower()
    if suffix not in UNPACK or path.name.lower().endswith((".nii.gz", ".csv.gz", ".json.gz")):
        return None
    folder = path.with_suffix("")
    folder = folder.with_suffix("") if folder.suffix.lower() == ".tar" else folder
    return UNPACK[suffix].format(file=shlex.quote(os.fspath(path)), folder=shlex.quote(os.fspath(folder)))


def cure_of_file(path: pathlib.Path) -> str | None:
    """What to do with one file by its suffix; None if nothing is known of it."""
    if command := unpack_command(path):
        folder = shlex.quote(os.fspath(path.with_suffix("").with_suffix("")))
        return f"Unpack it, and pass the folder: {command} && python -m pipeline.run --data {folder}"
    name = path.name.lower()
    if name.endswith(ARRAYS):
        return "Save its arrays by numpy.savez as images and masks, or as PNG files in images/ and masks/."
    if name.endswith(VOLUMES):
        return "Save its slices as .npy or PNG files in images/ and masks/, for example with nibabel or SimpleITK."
    return None


def cure_of_other_files(root: pathlib.Path) -> str | None:
    """What to do with a folder whose archives, arrays or volumes are not read; None where there are none."""
    kinds = collections.defaultdict(list)
    for _, path in zip(range(MANY), walk_files(root), strict=False):
        if unpack_command(path):
            kinds["archives"].append(path)
        elif path.name.lower().endswith((*ARRAYS, *VOLUMES)):
            kinds["arrays"].append(path)
    if archives := kinds["archives"]:
        commands = " && ".join(filter(None, map(unpack_command, archives[:3])))
        return f"Unpack the {len(archives)} archives in it, and run again: {commands}{' && ...' if len(archives) > 3 else ''}"
    if arrays := kinds["arrays"]:
        return f"There are {len(arrays)} files such as {arrays[0].name}, which are not read. {cure_of_file(arrays[0])}"
    return None
