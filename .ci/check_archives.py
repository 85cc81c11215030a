"""Compare what sdist and wheel hold with the checkout: every file once, no top-level `nn`."""

import sys
import tarfile
import zipfile
from pathlib import Path

root = Path.cwd()
(sdist,) = (root / sys.argv[1]).glob("*.tar.gz")
(wheel,) = (root / sys.argv[1]).glob("*.whl")

sources = {
    path.relative_to(root).as_posix()
    for path in (root / "graphgrad").rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
}

shipped = set(zipfile.ZipFile(wheel).namelist())
metadata = {name for name in shipped if name.split("/")[0].endswith(".dist-info")}
if shipped - metadata != sources:
    sys.exit(f"wheel and checkout differ in {sorted((shipped - metadata) ^ sources)}")
if not any(name.endswith("/LICENSE") for name in metadata):
    sys.exit("the wheel has no LICENSE")

with tarfile.open(sdist) as archive:
    if links := [member.name for member in archive if member.issym() or member.islnk()]:
        sys.exit(f"the sdist holds links, which Windows cannot unpack: {links}")
    packed = {member.name.partition("/")[2] for member in archive if member.isfile()}
if missing := sources - packed:
    sys.exit(f"the sdist lacks {sorted(missing)}")
if stray := {name for name in packed if name.startswith(("nn/", "optim/"))}:
    sys.exit(f"the sdist holds nn or optim a second time: {sorted(stray)}")

print(f"{wheel.name} and {sdist.name}: {len(sources)} files of the checkout, each once")
