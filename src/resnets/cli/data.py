"""``resnets data``: the decoded images that earlier runs left."""

from pathlib import Path

from resnets.cli.options import Flag
from resnets.terminal import print_json, print_note, print_rich


def data(folder: Path | None = None, /, *, clear: Flag = False, json: Flag = False) -> None:
    """List the packs: folders of images that were decoded once, kept for the next run.

    They lie in the folder packs of RESNETS_DATA, or else of the user's cache.

    Parameters
    ----------
    folder
        Only packs of this folder of images, by the name that it had when it was decoded.
    clear
        Remove all that would be listed. A run that reads a pack goes on.
    json
        Print the list as JSON, with the name of every image that could not be read, and why.
    """
    from resnets.data.cache import pack_cache

    root = None if folder is None else folder.expanduser().resolve()
    if clear:
        packs, busy = pack_cache.clear(root)
        for pack in busy:
            print_note(f"{pack.path}: left there, a process is decoding into it")
    else:
        packs = pack_cache.list_packs(root)
    cache = pack_cache.packs_folder()
    if json:
        shown = [pack.to_json() for pack in packs]
        print_json({"folder": str(cache), "removed" if clear else "packs": shown})
        return
    count = f"{len(packs)} pack{'' if len(packs) == 1 else 's'}{f' of {root}' if root else ''}"
    size = f"{sum(pack.bytes for pack in packs) / 1e6:,.1f} MB"
    print(f"{cache}: {'removed ' if clear else ''}{count}, {size}")
    if packs and not clear:
        from resnets.data.cache.pack_table import pack_table

        print_rich(pack_table(packs))
