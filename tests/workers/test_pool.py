import functools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support import pool_jobs

from earmark.errors import BadAudioError, WorkerError
from earmark.workers.pool import Pool, core_count
from earmark.workers.prefetch import threaded_prefetch

TESTS = str(Path(__file__).parents[1])
LIMIT_S = 20.0


@pytest.fixture(scope="module")
def pool():
    with Pool(2) as shared:
        yield shared


def until(condition, limit_s=LIMIT_S):
    """Poll until the condition is true and return its value."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {limit_s} s")


def alive(pid):
    """Say whether a process runs; one that only waits to be reaped does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


def counted(numbers, seen):
    for number in numbers:
        seen.append(number)
        yield number


def test_results_come_in_the_order_of_the_items(pool):
    assert list(pool.map(pool_jobs.square, range(50))) == [number * number for number in range(50)]
    assert list(pool.map(pool_jobs.square, [])) == []


def test_a_pool_of_no_stated_size_has_a_worker_a_core():
    with Pool() as own:
        assert own.workers == core_count() >= 1
        assert own._all == []  # nothing is started before it is needed


@pytest.mark.parametrize("lookahead", [0, 1, 5])
def test_items_under_way_are_bounded_by_the_lookahead(pool, lookahead):
    seen = []
    for done, _ in enumerate(pool.map(pool_jobs.square, counted(range(30), seen), lookahead=lookahead), 1):
        assert len(seen) <= done + lookahead
    assert len(seen) == 30


def test_items_are_not_pulled_before_the_first_result_is_asked_for(pool):
    seen = []
    results = pool.map(pool_jobs.square, counted(range(30), seen))
    assert seen == []
    assert next(results) == 0
    results.close()
    assert len(seen) <= 2 * pool.workers + 1


def test_an_exception_is_raised_at_its_items_turn(pool):
    results = pool.map(pool_jobs.fail_on_three, range(10))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three is refused") as caught:
        next(results)
    assert "fail_on_three" in "".join(caught.value.__notes__)  # where in the worker


def test_an_exception_keeps_its_fields_even_if_pickle_cannot_rebuild_it(pool):
    with pytest.raises(BadAudioError, match=r"^truncated: a\.flac \(none\)$") as caught:
        list(pool.map(pool_jobs.bad_audio, ["a.flac"]))
    assert (caught.value.kind, caught.value.detail, caught.value.decoder) == ("truncated", "a.flac", "none")
    with pytest.raises(pool_jobs.TwoPartError, match="bell 7") as caught:
        list(pool.map(pool_jobs.fail_with_fields, [7]))
    assert caught.value.size == 7


def test_a_result_that_cannot_be_pickled_is_an_error_and_not_a_hang(pool):
    with pytest.raises((AttributeError, TypeError, Exception), match="pickle"):
        list(pool.map(pool_jobs.unpicklable, [1]))
    assert list(pool.map(pool_jobs.square, [3])) == [9]


def test_an_item_that_cannot_be_pickled_is_an_error_and_not_a_hang(pool):
    with pytest.raises(Exception, match="pickle"):
        list(pool.map(pool_jobs.square, [lambda: None]))
    assert list(pool.map(pool_jobs.square, [3])) == [9]


def test_large_items_and_results_pass_whole(pool):
    size = 3 << 20
    assert [len(data) for data in pool.map(pool_jobs.large, [size] * 4)] == [size] * 4
    assert list(pool.map(pool_jobs.length, [bytes(size)] * 4)) == [size] * 4


def test_a_partial_function_is_named_and_run(pool):
    assert list(pool.map(functools.partial(pow, 2), [1, 2, 3])) == [2, 4, 8]


@pytest.mark.parametrize("function", [pool_jobs.die_on_three, pool_jobs.die_while_answering])
def test_a_killed_worker_is_an_error_at_its_turn_and_the_pool_goes_on(pool, function):
    results = pool.map(function, range(10), label=lambda number: f"part {number}")
    begin = time.monotonic()
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    line = rf"^support\.pool_jobs\.{function.__name__}\(part 3\): worker process died: killed by SIGKILL, probably because memory"
    with pytest.raises(WorkerError, match=line) as caught:
        next(results)
    assert time.monotonic() - begin < 10
    assert "[run] workers, now 2" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(pool.map(pool_jobs.square, range(5))) == [0, 1, 4, 9, 16]


def test_a_worker_that_crashes_or_leaves_says_how(pool):
    with pytest.raises(WorkerError, match=r"ended by SIGABRT, probably a fault in a decoding library"):
        list(pool.map(pool_jobs.crash, [signal.SIGABRT]))
    with pytest.raises(WorkerError, match=r"ended with exit status 7\."):
        list(pool.map(pool_jobs.leave, [7]))


def test_killing_an_idle_worker_from_outside_costs_one_item_at_most(pool):
    victim = next(iter(pool.map(pool_jobs.process_id, [0])))
    os.kill(victim, signal.SIGKILL)
    until(lambda: not alive(victim))
    failures = 0
    for number in range(4):
        try:
            assert list(pool.map(pool_jobs.square, [number])) == [number * number]
        except WorkerError:
            failures += 1
    assert failures <= 1


def test_workers_are_kept_from_one_map_to_the_next(pool):
    list(pool.map(pool_jobs.process_id, range(8)))
    before = {worker.process.pid for worker in pool._all}
    used = set(pool.map(pool_jobs.process_id, range(8)))
    after = {worker.process.pid for worker in pool._all}
    assert before <= after >= used  # a second worker may have been started late, when the first was busy
    assert len(after) <= pool.workers


def test_a_worker_has_one_thread_its_signals_and_nothing_heavy_loaded():
    with Pool(1) as own:
        (facts,) = own.map(pool_jobs.surroundings, [0])
    assert facts == {"threads": "1", "sigint": True, "sigterm": True, "blocked": [signal.SIGHUP], "loaded": []}


def test_an_abandoned_map_leaves_no_worker_busy(tmp_path):
    with Pool(2) as own:
        results = own.map(pool_jobs.announce_and_stay, [str(tmp_path)] * 9, lookahead=4)
        waiter = threading.Thread(target=lambda: [until(lambda: len(os.listdir(tmp_path)) == 2), own.kill()])
        waiter.start()
        with pytest.raises(WorkerError):
            next(results)
        waiter.join()
    assert [pid for pid in os.listdir(tmp_path) if alive(int(pid))] == []


def test_closing_a_map_early_kills_what_it_started_and_keeps_the_pool(tmp_path):
    def items():
        yield tmp_path.joinpath("missing")  # fails at once, while the second stays
        yield tmp_path

    with Pool(2) as own:
        list(own.map(pool_jobs.square, range(4)))
        with pytest.raises(FileNotFoundError):
            for _ in own.map(pool_jobs.announce_and_stay, items()):
                pass
        stayed = [int(name) for name in os.listdir(tmp_path)]
        until(lambda: not any(map(alive, stayed)))
        assert list(own.map(pool_jobs.square, range(4))) == [0, 1, 4, 9]


def test_closing_ends_the_workers():
    own = Pool(2)
    pids = set(own.map(pool_jobs.process_id, range(8)))
    own.close()
    assert not any(map(alive, pids))
    with pytest.raises(AssertionError, match="closed or killed"):
        own.map(pool_jobs.square, [1])


def parent_script(tmp_path, body, name="parent.py"):
    """Write and start a Python script with the tests on its path, in a process group of its own."""
    script = tmp_path / name
    script.write_text(
        f"import sys\nsys.path.insert(0, {TESTS!r})\nfrom earmark.workers.pool import Pool\nfrom support import pool_jobs\n{body}"
    )
    return subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


STAY = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
if __name__ == "__main__":
    try:
        with Pool(2) as pool:
            list(pool.map(pool_jobs.announce_and_stay, [{folder!r}] * 9))
    except KeyboardInterrupt:
        print("stopped by Ctrl-C")
"""


def busy_parent(tmp_path):
    folder = tmp_path / "pids"
    folder.mkdir()
    parent = parent_script(tmp_path, STAY.format(folder=str(folder)))
    until(lambda: len(os.listdir(folder)) == 2)
    return parent, [int(name) for name in os.listdir(folder)]


def test_workers_go_when_their_parent_is_killed(tmp_path):
    parent, workers = busy_parent(tmp_path)
    assert all(map(alive, workers))
    parent.kill()
    parent.communicate()
    until(lambda: not any(map(alive, workers)), limit_s=5)


def test_ctrl_c_ends_parent_and_workers_at_once_and_quietly(tmp_path):
    parent, workers = busy_parent(tmp_path)
    os.killpg(parent.pid, signal.SIGINT)  # as a terminal does: the whole group
    out, err = parent.communicate(timeout=5)
    assert (out, err, parent.returncode) == ("stopped by Ctrl-C\n", "", 0)
    assert not any(map(alive, workers))


@pytest.mark.parametrize("name", ["script.py", "doit"])
def test_a_worker_does_not_run_the_parents_script_again(tmp_path, name):
    marker = tmp_path / "marker"
    body = (
        f"open({str(marker)!r}, 'a').write('x')\n"
        "with Pool(2) as pool:\n    print(list(pool.map(pool_jobs.square, range(5))))\n"
    )
    parent = parent_script(tmp_path, body, name)
    out, err = parent.communicate(timeout=LIMIT_S)
    assert (out, err, parent.returncode) == ("[0, 1, 4, 9, 16]\n", "", 0)
    assert marker.read_text() == "x"


@pytest.mark.slow
def test_doit_can_be_the_parent_and_is_not_loaded_again(tmp_path):
    body = (
        "from doit.cmd_base import ModuleTaskLoader\nfrom doit.cmd_run import Run\n"
        "def work():\n    with Pool(2) as pool:\n        print(list(pool.map(pool_jobs.surroundings, [0])))\n"
        "def task_one():\n    return {'actions': [work], 'verbosity': 2}\n"
        f"config = {{'dep_file': {str(tmp_path / 'db')!r}}}\n"
        "run = Run(task_loader=ModuleTaskLoader({'task_one': task_one, 'DOIT_CONFIG': config}))\n"
        "sys.exit(run.parse_execute([]))\n"
    )
    parent = parent_script(tmp_path, body, "doit")
    out, err = parent.communicate(timeout=LIMIT_S)
    assert (parent.returncode, err) == (0, "")
    assert "'loaded': []" in out


def test_the_pool_itself_loads_nothing_heavy():
    code = "import sys, earmark.workers.pool; print([m for m in ('numpy', 'zarr', 'av', 'doit', 'pydantic') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_prefetched_results_come_in_order_and_bounded():
    seen = []
    results = threaded_prefetch(pool_jobs.square, counted(range(30), seen), workers=3, lookahead=4)
    for done, result in enumerate(results, 1):
        assert result == (done - 1) ** 2
        assert len(seen) <= done + 4


def test_prefetch_raises_at_the_items_turn():
    results = threaded_prefetch(pool_jobs.fail_on_three, range(10), workers=2, lookahead=5)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three is refused"):
        next(results)


def test_prefetch_works_ahead_while_the_caller_is_busy():
    ahead = threading.Semaphore(0)
    results = threaded_prefetch(lambda number: (ahead.release(), number)[1], range(10), workers=1, lookahead=3)
    assert next(results) == 0
    for _ in range(4):  # the first and three beyond it run without being asked for
        assert ahead.acquire(timeout=LIMIT_S)
    assert list(results) == list(range(1, 10))


def test_closing_a_prefetch_drops_what_waits_and_joins_what_runs():
    started, ended, gate = [], [], threading.Event()

    def work(number):
        started.append(number)
        if number:
            gate.wait(LIMIT_S)
        ended.append(number)
        return number

    before = set(threading.enumerate())
    results = threaded_prefetch(work, range(10), workers=2, lookahead=6)
    assert next(results) == 0
    until(lambda: len(started) == 3)
    threading.Timer(0.1, gate.set).start()
    results.close()
    assert sorted(started) == sorted(ended) == [0, 1, 2]
    until(lambda: set(threading.enumerate()) <= before)


def test_an_item_whose_worker_crashes_is_asked_what_it_is_instead_and_the_others_go_on(pool):
    seen = []

    def instead(item, error):
        seen.append((item, error.crashed))
        return -item

    assert list(pool.map(pool_jobs.crash_on_three, range(6), instead=instead)) == [0, 1, 2, -3, 4, 5]
    assert seen == [(3, "SIGSEGV")]


def test_a_worker_that_was_killed_from_outside_has_not_crashed(pool):
    with pytest.raises(WorkerError, match="SIGKILL"):
        list(pool.map(pool_jobs.die_on_three, range(6), instead=lambda item, _error: item))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells that a process is stopped")
def test_a_worker_that_is_stopped_is_named_and_can_be_made_to_go_on(monkeypatch):
    monkeypatch.setattr("earmark.workers.pool.SILENCE_S", 0.2)
    lines = []

    def go_on(line):
        lines.append(line)
        if match := re.search(r"kill -CONT (\d+)", line):
            os.kill(int(match[1]), signal.SIGCONT)

    with Pool(1, go_on) as own:
        assert list(own.map(pool_jobs.stop_on_three, range(5), label=lambda number: f"item {number}")) == list(range(5))
    assert any("item 3" in line and "It is stopped" in line for line in lines)
