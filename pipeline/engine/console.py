"""What all commands share: exit statuses, Ctrl-C, errors with a message for the user, and silence while libraries load.

Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import pathlib
import signal
import sys
import tempfile
import traceback

from kseg._extras import interrupt_deferred

FIRST_PARTY = ("kseg", "pipeline")


def run_command(work, argv: list[str] | None, *, after_interrupt: str = "") -> int:
    """Runs a command, and turns its errors and Ctrl-C into messages and exit statuses.

    Args:
        work: function of the command line that returns the exit status.
        argv: the command line; None: that of the process.
        after_interrupt: what the user should know after Ctrl-C, such as how the command resumes.

    Returns:
        The exit status: that of `work`; 2 for an error with a message for the user (`user_message`), or what a `CommandError`
        says; 130 after Ctrl-C; 141 where nobody reads the output any more. Other errors are raised, for their tracebacks.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        with interrupts_kept():
            try:
                return work(sys.argv[1:] if argv is None else argv)
            finally:
                sys.stdout.flush()
    except KeyboardInterrupt:
        return exit_interrupted(after_interrupt)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python would fail again when it flushes at the end
        return 128 + signal.SIGPIPE
    except Exception as error:
        message = user_message(error)
        if message is None:
            raise
        print(f"error: {message}", file=sys.stderr)
        return error.exit_status if isinstance(error, CommandError) else 2


class CommandError(RuntimeError):
    """An error whose message is for the user, with an exit status of its own."""

    exit_status = 2


@contextlib.contextmanager
def native_output_dropped():
    """Drops what compiled libraries print while they load, which no log level prevents; prints it if loading fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        except BaseException:
            file.seek(0)
            os.write(kept, file.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)


@contextlib.contextmanager
def interrupts_kept():
    """Raises KeyboardInterrupt where a library turned it into another error, as Beam does when it works in the main thread."""
    try:
        yield
    except Exception as error:
        if any(isinstance(one, KeyboardInterrupt) for one in _chain(error)):
            raise KeyboardInterrupt from error
        raise


def _chain(error: BaseException) -> list[BaseException]:
    """The error, its cause, the cause of that, and so on."""
    found = []
    while error is not None:
        found.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return found


@contextlib.contextmanager
def imports():
    """For heavy imports: drops their output, defers Ctrl-C, and does not collect garbage.

    Collecting what modules define, and again when Python exits, takes two of the four seconds that TensorFlow costs a process.
    """
    gc.disable()
    try:
        with interrupt_deferred(), native_output_dropped():
            yield
    finally:
        gc.freeze()
        gc.enable()


def exit_interrupted(message: str) -> int:
    """Prints that Ctrl-C stopped the command; returns its exit status, 130."""
    exec("")  # after an interrupt inside an `exec`, Python would end by the signal, unless another `exec` follows
    print(f"\nStopped. {message}".rstrip(), file=sys.stderr)
    return 130


def raised_by_us(error: BaseException) -> bool:
    """Whether our own code raised the error, in which case its message is written for the user."""
    return _is_ours(_files_of(error)[-1:])


def _called_by_us(error: BaseException) -> bool:
    """Whether our own code called what raised the error, directly or through Python's library, such as pathlib."""
    library = os.path.dirname(os.__file__)
    files = _files_of(error)
    while files and (files[-1].startswith("<") or os.path.dirname(files[-1]).startswith(library)):
        if "site-packages" in files[-1]:
            break
        files.pop()
    return _is_ours(files[-1:])


def _files_of(error) -> list[str]:
    return [frame.filename for frame in traceback.extract_tb(error.__traceback__)]


def _is_ours(files) -> bool:
    root = pathlib.Path(__file__).resolve().parents[2]
    return any(root / package in pathlib.Path(file).parents for file in files for package in FIRST_PARTY)


def user_message(error: Exception) -> str | None:
    """The message for the user; None where the error is a fault of the program, which needs a traceback.

    Messages for the user have the errors that our own code raises about values and files, what the system answers about a file
    that our code uses, packages that are not installed, and faults of the disk in whatever library they come up.
    """
    ours = raised_by_us(error)
    if ours and isinstance(error, ValueError) and len(_chain(error)) == 1:  # also where it quotes a fault of the disk
        return str(error)
    if message := disk_fault_message(error) or file_message(error):
        return message
    if not ours:
        return None
    if isinstance(error, ModuleNotFoundError) and str(error).startswith("No module named"):  # Python's words
        package = (error.name or "").partition(".")[0]
        missing = f"The package {package!r} must be installed. Received: {error}. Install it with `pip install 'kseg[pipeline]'`."
        return None if package in FIRST_PARTY else missing
    return str(error) if isinstance(error, ValueError | OSError | CommandError | ModuleNotFoundError) else None


_FULL, _CLOSED = (errno.ENOSPC, errno.EDQUOT), (errno.EROFS, errno.EACCES, errno.EPERM)
_KEPT = "Then run the same command again: what is finished is kept."


def disk_fault_message(error: BaseException) -> str | None:
    """The message for the user whose disk is full, or whose files and folders are closed; None for any other error.

    h5py, TensorFlow and Beam raise errors of their own types, which quote the system's message or were caused by one that does.
    """
    for numbers, describe in ((_FULL, _full_message), (_CLOSED, _closed_message)):
        for one in _chain(error):
            number = next((n for n in numbers if getattr(one, "errno", None) == n or os.strerror(n) in str(one)), None)
            if number is not None:
                return f"{describe(number, getattr(one, 'filename', None))} {_KEPT}"
    return None


def _full_message(number, place) -> str:
    cure = "Make some: `python -m pipeline.gc` lists what no model needs."
    return f"There must be room on the disk. Received: {_answer(number, place)}. {cure}"


def _closed_message(number, place) -> str:
    """What must be allowed: reading where a file or folder is there, writing where it is to be made."""
    answer = _answer(number, place)
    if number == errno.EROFS or not _is_there(place):
        cure = "Choose other ones with --root, --push-to or --output, or ask who owns them."
        return f"Folders must be writable. Received: {answer}. {cure}"
    cure = "Change the permissions of the file or of its folder, or ask who owns them."
    allowed = os.access(place, os.R_OK | os.X_OK if os.path.isdir(place) else os.R_OK)
    requirement = "Files must be readable, and results writable" if allowed else "Files must be readable"
    return f"{requirement}. Received: {answer}. {cure}"


def _is_there(place) -> bool:
    try:
        return place is not None and bool(os.stat(place))
    except PermissionError:  # a folder above is closed
        return True
    except (OSError, TypeError, ValueError):
        return False


_FILE_MESSAGES = {
    errno.ENOENT: ("Files that a command uses must exist.", "Check the path."),
    errno.ENOTDIR: ("What stands before a / in a path must be a folder.", "Choose another place."),
    errno.EISDIR: ("A file must not be a folder.", "Name a file in it."),
    errno.ENAMETOOLONG: ("Names must have at most 255 bytes, and paths 4095.", "Choose a shorter name."),
    errno.ELOOP: ("Links must lead to a file or folder.", "Remove the link."),
    errno.EIO: ("The disk must work.", "Copy the file to another disk."),
    errno.EMFILE: ("Enough files must be allowed to be open at once.", "Raise the limit with `ulimit -n`."),
    errno.ESTALE: ("Files must stay while they are used.", "Give the same command again."),
}


def file_message(error: BaseException) -> str | None:
    """The message for the user about a file that our own code uses, from the system's answer; None for any other error."""
    if not isinstance(error, OSError) or error.errno is None or error.filename is None or not _called_by_us(error):
        return None
    requirement, cure = _FILE_MESSAGES.get(error.errno, ("The system must be able to use the file.", "Check the file."))
    return f"{requirement} Received: {_answer(error.errno, error.filename)}. {cure}"


def _answer(number, place) -> str:
    """The system's words, and the place."""
    if place is None:
        return os.strerror(number)
    text = os.fsencode(place).decode("utf-8", "backslashreplace") if isinstance(place, str | bytes) else str(place)
    return f"{os.strerror(number)} [{text}]"
