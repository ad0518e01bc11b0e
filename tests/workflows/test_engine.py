"""The engine: steps side by side, killed, resumed, and made again when their files change."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from engine_nodes import Read, Work
from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline import engine as pe

from qmri_bids.bids.digests import Digests, write_inputs
from qmri_bids.engine.crashes import crash_entry, read_crashes
from qmri_bids.engine.execution import THREAD_VARIABLES, EngineOptions, limit_threads, run_workflow
from qmri_bids.engine.input_content import note_content
from qmri_bids.engine.local_plugin import LocalPlugin
from qmri_bids.engine.steps import Steps


def two_after_one(folder: Path, *, first: str, second: str) -> pe.Workflow:
    """Return two chains: one whose second step needs `first`, and a step of its own that does `second`."""
    workflow = pe.Workflow(name="participants", base_dir=str(folder / "work"))
    note = str(folder / "note.txt")
    one = pe.Node(Work(deed=first, note=note), name="one")
    needs = pe.Node(Work(note=note), name="needs_one")
    alone = pe.Node(Work(deed=second, note=note), name="alone")
    workflow.connect(one, "out", needs, "after")
    workflow.add_nodes([alone])
    workflow.config["execution"] = {"crashdump_dir": str(folder / "log")}
    return workflow


def deeds(folder: Path) -> list[str]:
    return sorted(line.split()[1] for line in (folder / "note.txt").read_text().splitlines())


class TestSideBySide:
    def test_every_step_has_a_process_of_its_own_and_is_kept(self, tmp_path: Path) -> None:
        told: list[tuple[str, str]] = []
        for _ in range(2):
            workflow = two_after_one(tmp_path, first="nothing", second="nothing")
            run_workflow(
                workflow,
                options=EngineOptions(processors=2, memory_gb=1.0),
                callback=lambda node, status: told.append((node.name, status)),
            )
        processes = {line.split()[0] for line in (tmp_path / "note.txt").read_text().splitlines()}
        assert len(processes) == 3
        assert str(os.getpid()) not in processes
        assert deeds(tmp_path) == ["nothing"] * 3, "the second call has nothing to do"
        assert told.count(("one", "start")) == 1
        assert told.count(("one", "end")) == 2

    def test_a_step_that_is_killed_says_so_and_stops_only_what_needs_it(self, tmp_path: Path) -> None:
        begun = time.time()
        workflow = two_after_one(tmp_path, first="kill", second="nothing")
        with pytest.raises(RuntimeError, match="killed from outside"):
            run_workflow(workflow, options=EngineOptions(processors=2, memory_gb=1.0))
        assert deeds(tmp_path) == ["kill", "nothing"]
        (crash,) = read_crashes(tmp_path / "log", since=begun)
        assert crash.node == "participants.one"
        assert crash.entry.message.startswith(
            "The process of the step one was killed from outside, most often because memory"
        )
        assert "--low-mem" in crash.entry.advice

    def test_a_disk_that_is_full_is_named_even_where_no_crash_file_can_be_kept(self, tmp_path: Path) -> None:
        workflow = two_after_one(tmp_path, first="fail", second="nothing")
        (tmp_path / "log").write_text("a file where the folder should be")
        with pytest.raises(RuntimeError, match="No space left on device"):
            run_workflow(workflow, options=EngineOptions(processors=2, memory_gb=1.0))
        assert deeds(tmp_path) == ["fail", "nothing"]

    def test_the_first_crash_ends_the_others_where_asked(self, tmp_path: Path) -> None:
        workflow = two_after_one(tmp_path, first="fail", second="sleep")
        options = EngineOptions(processors=2, memory_gb=1.0, stop_on_first_crash=True)
        with pytest.raises(RuntimeError, match="No space left on device"):
            run_workflow(workflow, options=options)
        for line in (tmp_path / "note.txt").read_text().splitlines():
            assert ends(int(line.split()[0]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("qmri_bids.preprocessing.b1.RegistrationFailed: the scans do not fit\n", "The scans do not fit."),
        (
            "ValueError: zero\n\nnipype.pipeline.engine.nodes.NodeExecutionError: Exception raised\n",
            "ValueError: zero.",
        ),
    ],
)
def test_errors_of_this_program_are_sentences(text: str, message: str) -> None:
    assert crash_entry(text, title="a", advice="b").message == message


def test_one_participant_is_finished_before_the_next_is_begun(tmp_path: Path) -> None:
    whole = pe.Workflow(name="participants", base_dir=str(tmp_path / "work"))
    begun: list[str] = []
    for subject in ("01", "02", "03"):
        workflow = pe.Workflow(name=f"sub_{subject}_wf")
        last = pe.Node(Work(), name="last")
        workflow.connect(pe.Node(Work(), name="first"), "out", last, "after")
        whole.add_nodes([workflow])

    def note(node: pe.Node, status: str) -> None:
        if status == "start":
            begun.append(node.fullname.removeprefix("participants."))

    whole.config["execution"] = {"poll_sleep_duration": "0.05"}
    whole.run(plugin=LocalPlugin({"n_procs": 1, "memory_gb": 1.0, "status_callback": note}))
    assert begun == [f"sub_{subject}_wf.{step}" for subject in ("01", "02", "03") for step in ("first", "last")]


def ends(process: int, *, within: float = 20.0) -> bool:
    """Whether a process is gone, or dead and not yet fetched, within some seconds."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, {support!r})
if __name__ == "__main__":
    from engine_nodes import Work
    from nipype.pipeline import engine as pe
    from qmri_bids.engine.execution import EngineOptions, run_workflow
    workflow = pe.Workflow(name="participants", base_dir={folder!r})
    workflow.add_nodes([pe.Node(Work(deed="sleep", note={note!r}), name="one")])
    run_workflow(workflow, options=EngineOptions(processors=2, memory_gb=1.0))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_steps_end_with_the_program_however_it_ends(tmp_path: Path) -> None:
    note, script = tmp_path / "note.txt", tmp_path / "program.py"
    support = str(Path(__file__).parents[1] / "support")
    script.write_text(PROGRAM.format(support=support, folder=str(tmp_path / "work"), note=str(note)))
    program = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 120.0
    while not (note.is_file() and note.read_text().endswith("sleep\n")) and time.monotonic() < until:
        assert program.poll() is None
        time.sleep(0.1)
    step = int(note.read_text().split()[0])
    program.send_signal(signal.SIGKILL)
    program.wait()
    assert ends(step)


class TestContent:
    def reading(self, folder: Path) -> pe.Workflow:
        workflow = pe.Workflow(name="participants", base_dir=str(folder / "work"))
        inputnode = pe.Node(IdentityInterface(fields=["files"]), name="inputnode")
        inputnode.inputs.files = {"text": folder / "text.txt"}
        workflow.connect(inputnode, "files", pe.Node(Read(note=str(folder / "note.txt")), name="read"), "files")
        note_content(workflow, Digests(folder / "digests.json"))
        return workflow

    def test_a_file_that_has_changed_under_its_name_is_read_again(self, tmp_path: Path) -> None:
        for text in ("first", "first", "other", "other"):
            if not (tmp_path / "text.txt").is_file() or (tmp_path / "text.txt").read_text() != text:
                (tmp_path / "text.txt").write_text(text)
            run_workflow(self.reading(tmp_path), options=EngineOptions())
        assert (tmp_path / "note.txt").read_text().splitlines() == ["first", "other"]

    def test_a_copy_with_another_date_is_the_same_file(self, tmp_path: Path) -> None:
        (tmp_path / "text.txt").write_text("first")
        for date in (1.0e9, 1.5e9):
            os.utime(tmp_path / "text.txt", (date, date))
            run_workflow(self.reading(tmp_path), options=EngineOptions())
        assert (tmp_path / "note.txt").read_text().splitlines() == ["first"]


class TestDigests:
    def test_they_are_those_of_the_content_and_kept_between_calls(self, tmp_path: Path) -> None:
        path, memory = tmp_path / "a.txt", tmp_path / "digests.json"
        path.write_text("abc")
        first = Digests(memory)
        assert first.of(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        first.keep()
        kept = Digests(memory)
        path.chmod(0)
        assert kept.of(path) == first.of(path)

    def test_damaged_memory_costs_time_only(self, tmp_path: Path) -> None:
        (tmp_path / "digests.json").write_text("{")
        (tmp_path / "a.txt").write_text("abc")
        assert Digests(tmp_path / "digests.json").of(tmp_path / "a.txt").startswith("ba7816bf")

    def test_what_was_read_is_written_by_uri(self, tmp_path: Path) -> None:
        inside, outside = tmp_path / "bids" / "sub-01" / "a.nii", tmp_path / "other.nii"
        inside.parent.mkdir(parents=True)
        for path in (inside, outside):
            path.write_text("abc")
        digests = Digests(None)
        digest = digests.of(inside)
        digests.of(outside)
        write_inputs(digests, tmp_path / "inputs.json", bids_dir=tmp_path / "bids")
        text = (tmp_path / "inputs.json").read_text()
        assert f'"bids:raw:sub-01/a.nii": "{digest}"' in text
        assert f'"{outside}": "{digest}"' in text


class _Listener:
    def __init__(self) -> None:
        self.ended: list[tuple[str, bool, bool]] = []

    def start(self, total: int) -> None:
        pass

    def begin(self, label: str, step: str) -> None:
        pass

    def end(self, label: str, step: str, *, seconds: float, ok: bool, cached: bool) -> None:
        self.ended.append((step, ok, cached))

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("in_order", "shown"), [(True, []), (False, [("describe_run", True, True)])])
def test_what_ends_without_a_beginning_was_kept_or_could_not_run(in_order: bool, shown: list[object]) -> None:
    listener, done = _Listener(), []
    steps = Steps({("sub_01_wf", "a_wf"): "a"}, listener=listener, in_order=in_order, done=done.append)
    node = pe.Node(Work(), name="describe_run")
    node._hierarchy = "participants.sub_01_wf.a_wf"
    steps(node, "end")
    assert listener.ended == shown
    assert done == [("sub_01_wf", "a_wf")] * len(shown)


def test_threads_are_limited_in_what_is_loaded_and_in_what_will_be(monkeypatch: pytest.MonkeyPatch) -> None:
    from threadpoolctl import threadpool_info

    for variable in THREAD_VARIABLES:
        monkeypatch.setenv(variable, "7")
    before = {each["filepath"]: each["num_threads"] for each in threadpool_info()}
    limit_threads(1)
    assert {each["num_threads"] for each in threadpool_info()} == {1}
    assert {os.environ[variable] for variable in THREAD_VARIABLES} == {"1"}
    limit_threads(max(before.values(), default=1))
