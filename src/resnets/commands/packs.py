"""``data``: the decoded images that earlier runs left."""

from resnets.flags import Flag
from resnets.terminal import note, print_drawn, print_json


def data(*, clear: Flag = False, json: Flag = False) -> None:
    """List the packs: folders of images that were decoded once, kept for the next run.

    They lie in the folder packs of RESNETS_DATA, or else of the user's cache.

    Parameters
    ----------
    clear
        Remove them all. A run that reads one goes on.
    json
        Print the list as JSON, with the name of every image that could not be read, and why.
    """
    from resnets.data import pack_cache

    folder = pack_cache.packs_folder()
    if clear:
        packs, busy = pack_cache.clear()
        for pack in busy:
            note(f"{pack.path}: left there, a process is decoding into it")
    else:
        packs = pack_cache.kept()
    if json:
        shown = [pack.to_json() for pack in packs]
        print_json({"folder": str(folder), "removed" if clear else "packs": shown})
        return
    count = f"{len(packs)} pack{'' if len(packs) == 1 else 's'}"
    size = f"{sum(pack.bytes for pack in packs) / 1e6:,.1f} MB"
    print(f"{folder}: {'removed ' if clear else ''}{count}, {size}")
    if packs and not clear:
        from resnets.data.pack_table import pack_table

        print_drawn(pack_table(packs))
