"""Names of files and folders that are not a person's photos, by kind, with the program that leaves them."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from typing import NamedTuple


class SkipKind(StrEnum):
    """The reasons to skip a file or folder that is found in a folder."""

    MAC_METADATA = "mac_metadata"
    TRASH = "trash"
    THUMBNAILS = "thumbnails"
    OLDER_COPIES = "older_copies"
    UNFINISHED = "unfinished"
    SYSTEM = "system"
    HIDDEN = "hidden"
    EXCLUDED = "excluded"
    IGNORED = "ignored"
    CACHE = "cache"
    PAIR = "pair"
    SPECIAL = "special"


MEANINGS = {
    SkipKind.MAC_METADATA: "metadata of macOS",
    SkipKind.TRASH: "trash",
    SkipKind.THUMBNAILS: "thumbnails and caches of other programs",
    SkipKind.OLDER_COPIES: "older copies",
    SkipKind.UNFINISHED: "unfinished downloads and copies",
    SkipKind.SYSTEM: "files of the operating system",
    SkipKind.HIDDEN: "hidden (dot files)",
    SkipKind.EXCLUDED: "excluded (--exclude)",
    SkipKind.IGNORED: "excluded (.panopticonignore)",
    SkipKind.CACHE: "caches (CACHEDIR.TAG)",
    SkipKind.PAIR: "second file of a pair",
    SkipKind.SPECIAL: "pipes, sockets and devices",
}
"""The kinds in words, in the order in which reports list them."""


class SkipRule(NamedTuple):
    """One pattern of names, in upper or lower case, with `*`, `?` and `[…]`."""

    kind: SkipKind
    pattern: str
    """A pattern that ends in `/` matches folders only, any other files only. With a `/` inside, its first
    part matches the folder above; in `RULES` only patterns for folders have one."""
    left_by: str


RULES = (
    SkipRule(SkipKind.MAC_METADATA, "._*", "macOS, next to each file on disks of other systems"),
    SkipRule(SkipKind.MAC_METADATA, ".AppleDouble/", "netatalk"),
    SkipRule(SkipKind.MAC_METADATA, "__MACOSX/", "zip files made on macOS"),
    SkipRule(SkipKind.MAC_METADATA, ".DS_Store", "macOS Finder"),
    SkipRule(SkipKind.MAC_METADATA, "Icon\r", "macOS Finder"),
    SkipRule(SkipKind.TRASH, "#recycle/", "Synology"),
    SkipRule(SkipKind.TRASH, "@Recycle/", "QNAP"),
    SkipRule(SkipKind.TRASH, "$RECYCLE.BIN/", "Windows"),
    SkipRule(SkipKind.TRASH, "RECYCLER/", "Windows XP"),
    SkipRule(SkipKind.TRASH, ".Trash*/", "Linux desktops and macOS"),
    SkipRule(SkipKind.TRASH, "Network Trash Folder/", "macOS, on file servers"),
    SkipRule(SkipKind.TRASH, ".recycle/", "Samba"),
    SkipRule(SkipKind.TRASH, ".dtrash/", "digiKam"),
    SkipRule(SkipKind.TRASH, "files_trashbin/", "Nextcloud and ownCloud"),
    SkipRule(SkipKind.TRASH, ".trashed-*", "Android"),
    SkipRule(SkipKind.THUMBNAILS, "@eaDir/", "Synology"),
    SkipRule(SkipKind.THUMBNAILS, "SYNOPHOTO_THUMB_*", "Synology Photo Station"),
    SkipRule(SkipKind.THUMBNAILS, "SYNOFILE_THUMB_*", "Synology File Station"),
    SkipRule(SkipKind.THUMBNAILS, ".@__thumb/", "QNAP"),
    SkipRule(SkipKind.THUMBNAILS, "@__thumb/", "QNAP"),
    SkipRule(SkipKind.THUMBNAILS, "Thumbs.db", "Windows"),
    SkipRule(SkipKind.THUMBNAILS, "ehthumbs*.db", "Windows Media Center"),
    SkipRule(SkipKind.THUMBNAILS, "thumbcache_*.db", "Windows"),
    SkipRule(SkipKind.THUMBNAILS, ".thumbnails/", "Linux desktops and Android"),
    SkipRule(SkipKind.THUMBNAILS, ".thumbs/", "Gallery programs"),
    SkipRule(SkipKind.THUMBNAILS, ".xvpics/", "xv and GIMP"),
    SkipRule(SkipKind.THUMBNAILS, "thumbnails-digikam.db", "digiKam"),
    SkipRule(SkipKind.THUMBNAILS, "*.lrdata/", "Lightroom Classic"),
    SkipRule(SkipKind.THUMBNAILS, ".BridgeCache*", "Adobe Bridge"),
    SkipRule(SkipKind.THUMBNAILS, "CaptureOne/Cache/", "Capture One"),
    SkipRule(SkipKind.THUMBNAILS, "*.cocatalog/Cache/", "Capture One"),
    SkipRule(SkipKind.THUMBNAILS, "mipmaps-*.d/", "darktable"),
    SkipRule(SkipKind.THUMBNAILS, "Generated Images.bundle/", "Mylio"),
    SkipRule(SkipKind.THUMBNAILS, "*.photoslibrary/resources/", "macOS Photos"),
    SkipRule(SkipKind.THUMBNAILS, "*.photoslibrary/private/", "macOS Photos"),
    SkipRule(SkipKind.THUMBNAILS, "*.photoslibrary/internal/", "macOS Photos"),
    SkipRule(SkipKind.THUMBNAILS, "*.photoslibrary/scopes/", "macOS Photos"),
    SkipRule(SkipKind.THUMBNAILS, "*.photoslibrary/database/", "macOS Photos"),
    SkipRule(SkipKind.THUMBNAILS, "*.photoslibrary/Thumbnails/", "macOS Photos before 2019"),
    SkipRule(SkipKind.THUMBNAILS, "*.photoslibrary/Previews/", "macOS Photos before 2019"),
    SkipRule(SkipKind.THUMBNAILS, "*.photolibrary/Thumbnails/", "iPhoto"),
    SkipRule(SkipKind.THUMBNAILS, "*.photolibrary/Previews/", "iPhoto"),
    SkipRule(SkipKind.THUMBNAILS, "*.migratedphotolibrary/Thumbnails/", "iPhoto"),
    SkipRule(SkipKind.THUMBNAILS, "*.migratedphotolibrary/Previews/", "iPhoto"),
    SkipRule(SkipKind.THUMBNAILS, "iPhoto Library/Thumbnails/", "iPhoto"),
    SkipRule(SkipKind.THUMBNAILS, "iPhoto Library/Previews/", "iPhoto"),
    SkipRule(SkipKind.THUMBNAILS, "iPhoto Library/Data*/", "iPhoto"),
    SkipRule(SkipKind.THUMBNAILS, "*.aplibrary/Thumbnails/", "Aperture"),
    SkipRule(SkipKind.THUMBNAILS, "*.aplibrary/Previews/", "Aperture"),
    SkipRule(SkipKind.THUMBNAILS, "appdata_*/", "Nextcloud"),
    SkipRule(SkipKind.THUMBNAILS, "_data/i/", "Piwigo"),
    SkipRule(SkipKind.THUMBNAILS, "pwg_representative/", "Piwigo"),
    SkipRule(SkipKind.THUMBNAILS, "*.trickplay/", "Jellyfin"),
    SkipRule(SkipKind.THUMBNAILS, "THMBNL/", "Sony cameras, for videos"),
    SkipRule(SkipKind.THUMBNAILS, "*.thm", "cameras, for videos"),
    SkipRule(SkipKind.OLDER_COPIES, "*.*_original", "exiftool"),
    SkipRule(SkipKind.OLDER_COPIES, ".picasaoriginals/", "Picasa"),
    SkipRule(SkipKind.OLDER_COPIES, "[[]Originals]/", "ACDSee"),
    SkipRule(SkipKind.OLDER_COPIES, ".stversions/", "Syncthing"),
    SkipRule(SkipKind.OLDER_COPIES, "files_versions/", "Nextcloud and ownCloud"),
    SkipRule(SkipKind.OLDER_COPIES, "#snapshot/", "Synology"),
    SkipRule(SkipKind.OLDER_COPIES, "@Recently-Snapshot/", "QNAP"),
    SkipRule(SkipKind.OLDER_COPIES, "~snapshot/", "NetApp"),
    SkipRule(SkipKind.OLDER_COPIES, ".snapshot*/", "NetApp and snapper"),
    SkipRule(SkipKind.OLDER_COPIES, ".zfs/", "ZFS"),
    SkipRule(SkipKind.OLDER_COPIES, "*~", "text editors and GIMP"),
    SkipRule(SkipKind.OLDER_COPIES, "*.bak", "many programs"),
    SkipRule(SkipKind.OLDER_COPIES, "*.orig", "many programs"),
    SkipRule(SkipKind.UNFINISHED, "*.part", "Firefox and download managers"),
    SkipRule(SkipKind.UNFINISHED, "*.partial", "Edge and OneDrive"),
    SkipRule(SkipKind.UNFINISHED, "*.filepart", "WinSCP"),
    SkipRule(SkipKind.UNFINISHED, "*.crdownload", "Chrome"),
    SkipRule(SkipKind.UNFINISHED, "*.opdownload", "Opera"),
    SkipRule(SkipKind.UNFINISHED, "*.download", "browsers"),
    SkipRule(SkipKind.UNFINISHED, "*.download/", "Safari"),
    SkipRule(SkipKind.UNFINISHED, "*.!sync", "Resilio Sync"),
    SkipRule(SkipKind.UNFINISHED, "*.!ut", "µTorrent"),
    SkipRule(SkipKind.UNFINISHED, "*.tmp", "many programs"),
    SkipRule(SkipKind.UNFINISHED, "*.temp", "many programs"),
    SkipRule(SkipKind.UNFINISHED, "~syncthing~*", "Syncthing on Windows"),
    SkipRule(SkipKind.UNFINISHED, ".syncthing.*", "Syncthing"),
    SkipRule(SkipKind.UNFINISHED, ".*.??????", "rsync"),
    SkipRule(SkipKind.UNFINISHED, ".~tmp~/", "rsync --delay-updates"),
    SkipRule(SkipKind.UNFINISHED, ".rsync-partial/", "rsync --partial-dir"),
    SkipRule(SkipKind.UNFINISHED, ".unison.*", "Unison"),
    SkipRule(SkipKind.UNFINISHED, ".pending-*", "Android"),
    SkipRule(SkipKind.SYSTEM, "desktop.ini", "Windows"),
    SkipRule(SkipKind.SYSTEM, "System Volume Information/", "Windows"),
    SkipRule(SkipKind.SYSTEM, "lost+found/", "Linux file systems"),
    SkipRule(SkipKind.HIDDEN, ".*", "anything that hides files"),
    SkipRule(SkipKind.HIDDEN, ".*/", "anything that hides folders"),
)
"""The rules in the order in which they are tried: the first match gives the kind."""

MARKERS = (
    SkipRule(SkipKind.THUMBNAILS, "*/.ppstorage", "PhotoPrism"),
    SkipRule(SkipKind.THUMBNAILS, "thumbs/.immich", "Immich"),
    SkipRule(SkipKind.THUMBNAILS, "encoded-video/.immich", "Immich"),
    SkipRule(SkipKind.THUMBNAILS, "profile/.immich", "Immich"),
    SkipRule(SkipKind.OLDER_COPIES, "backups/.immich", "Immich"),
)
"""Files that mark the folder that they are in: all of it is skipped."""


_FILES = tuple(rule for rule in RULES if not rule.pattern.endswith("/"))
_FOLDERS = tuple(rule for rule in RULES if "/" not in rule.pattern[:-1] and rule not in _FILES)
_NESTED_FOLDERS = tuple(rule for rule in RULES if "/" in rule.pattern[:-1])


def kind_by_name(folder: bytes, name: bytes, *, is_folder: bool) -> SkipKind | None:
    """Return the kind of the first rule that matches `name` in `folder` (the folder's own name), or None."""
    text = os.fsdecode(name)
    # The rules about files need no folder, and are tried a million times in a large tree.
    if not is_folder:
        return _first_match(_FILES, text)
    return _first_match(_FOLDERS, text) or _first_match(_NESTED_FOLDERS, f"{os.fsdecode(folder)}/{text}")


def kind_by_markers(folder: bytes, names: Iterable[bytes]) -> SkipKind | None:
    """Return the kind of a folder that contains files of these names, or None if none of them is a marker."""
    # All markers are dot files, and most folders have none.
    paths = (f"{os.fsdecode(folder)}/{os.fsdecode(name)}" for name in names if name.startswith(b"."))
    return next(filter(None, (_first_match(MARKERS, path) for path in paths)), None)


def _first_match(rules: tuple[SkipRule, ...], text: str) -> SkipKind | None:
    match = _compiled(rules).match(text)
    return rules[match.lastindex - 1].kind if match and match.lastindex else None


@cache
def _compiled(rules: tuple[SkipRule, ...]) -> re.Pattern[str]:
    """Return one expression with a group for each rule."""
    groups = (f"({fnmatch.translate(rule.pattern.removesuffix('/'))})" for rule in rules)
    return re.compile("|".join(groups), re.IGNORECASE)
