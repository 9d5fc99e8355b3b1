"""
Where the embedded server lives: its data and its programs, within reach of the user it runs as.

Normally that is the home and the virtualenv. Started by root, the server runs as `nobody`, who may
not get through the parents of either. Those parents are not ours to open, so data, programs or both
then go below `/var/lib/payflow`.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from payflow.runtime.errors import CannotStart
from payflow.runtime.postgres_binaries import find_binaries, version_of
from payflow.runtime.server_user import ServerUser

SHARED = Path("/var/lib/payflow")
_COPIED = ("bin", "lib", "share")

Report = Callable[[str], None]


@dataclass(frozen=True)
class Place:
    """The directory of one server (`data` in it), its programs and its user."""

    area: Path
    binaries: Path
    version: str
    user: ServerUser

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.area / "data"

    @property
    def major_version(self) -> int:
        """The first number of the version, which the data must have too."""
        return int(self.version.partition(".")[0])


def choose_place(home: Path, *, is_new: bool, report: Report) -> Place:
    """
    Prepares the place of this home's server; `is_new` says that the home has no secrets yet.

    Raises:
        CannotStart: existing data are out of reach, or there are no programs.

    """
    area = home / "postgres"
    user = ServerUser.for_data(area / "data")
    area = _reachable_area(home, area, user, is_new=is_new, report=report)
    user = ServerUser.for_data(area / "data")
    binaries = find_binaries()
    version = version_of(binaries)
    return Place(area, _reachable_binaries(binaries, version, user, report), version, user)


def fallback_area(home: Path) -> Path:
    """Where the data of a home go that the server's user cannot reach."""
    return SHARED / hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:16]


def _reachable_area(
    home: Path, area: Path, user: ServerUser, *, is_new: bool, report: Report
) -> Path:
    if not user.is_somebody_else:
        area.mkdir(mode=0o700, exist_ok=True)
        return area
    home.chmod(0o711)
    fallback = fallback_area(home)
    if is_new and fallback.exists():
        _set_aside(fallback, report)
    if not (fallback / "data").exists() and _make_area(area, user):
        return area
    if (area / "data").exists():
        raise CannotStart(
            f"The data in {area} cannot be reached by the user {user.name}, as whom PostgreSQL "
            "runs: a directory above them has been closed. Open it (chmod o+x) or move the project."
        )
    shutil.rmtree(area, ignore_errors=True)
    return _make_fallback(fallback, user, report)


def _make_area(area: Path, user: ServerUser) -> bool:
    area.mkdir(mode=0o700, exist_ok=True)
    area.chmod(0o700)
    user.own(area)
    return user.can_write_in(area)


def _make_fallback(area: Path, user: ServerUser, report: Report) -> Path:
    _make_shared()
    report(f"the user {user.name} cannot reach the home, so PostgreSQL keeps its data in {area}")
    if not _make_area(area, user):
        raise CannotStart(f"The user {user.name} cannot reach {area} either.")
    return area


def _set_aside(area: Path, report: Report) -> None:
    # The home of these data was deleted, and with it the keys that open what they hold. Going on
    # with them would mean a platform with an unknown admin password and unreadable records.
    kept = Path(tempfile.mkdtemp(prefix=f"{area.name}.old-", dir=area.parent))
    area.rename(kept / "postgres")
    report(f"data of an earlier, deleted home were moved to {kept}")


def _make_shared() -> None:
    SHARED.mkdir(mode=0o755, parents=True, exist_ok=True)
    SHARED.chmod(0o755)


def _reachable_binaries(binaries: Path, version: str, user: ServerUser, report: Report) -> Path:
    if _can_execute(user, binaries):
        return binaries
    if not user.is_somebody_else:
        raise CannotStart(f"The programs in {binaries} cannot be executed.")
    _make_shared()
    copy = SHARED / f"postgresql-{version}"
    copied = copy / binaries.relative_to(binaries.parents[2])
    if not _can_execute(user, copied):
        report(f"the user {user.name} cannot reach {binaries}, so they are copied to {copy}")
        _copy_installation(binaries.parent, copy)
    if not _can_execute(user, copied):
        raise CannotStart(f"The user {user.name} cannot execute the programs in {copied}.")
    return copied


def _can_execute(user: ServerUser, binaries: Path) -> bool:
    # Both, because only one of them needs the library of the client.
    return all(user.can_execute(binaries / name) for name in ("postgres", "initdb"))


def _copy_installation(source: Path, target: Path) -> None:
    """Copies `<package>/<installation>`, and the `<package>.libs` that wheels have beside it."""
    package = source.parent
    draft = Path(tempfile.mkdtemp(prefix=".copying-", dir=target.parent))
    try:
        for name in _COPIED:
            copy = draft / package.name / source.name / name
            shutil.copytree(source / name, copy, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        _make_readable(draft)
        _replace_directory(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _replace_directory(draft: Path, target: Path) -> None:
    try:
        draft.rename(target)
    except OSError:
        # There is one that the caller found unusable, or another start has just made one.
        target.rename(Path(tempfile.mkdtemp(prefix=".old-", dir=target.parent)))
        draft.rename(target)


def _make_readable(root: Path) -> None:
    root.chmod(0o755)
    for path in root.rglob("*"):
        if path.is_symlink():
            continue
        mode = path.stat().st_mode & 0o777
        path.chmod(0o755 if path.is_dir() or mode & 0o100 else 0o644)
