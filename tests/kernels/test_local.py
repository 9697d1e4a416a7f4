"""What belongs to the running thread: the compiled module and its plain Python twin behave alike."""

import gc
import importlib.util
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

from tinygrad_course import kernels
from tinygrad_course.kernels import local

spec = importlib.util.spec_from_file_location("plain_local", Path(kernels.get_include(), "local.py"))
assert spec is not None
assert spec.loader is not None
plain = importlib.util.module_from_spec(spec)
spec.loader.exec_module(plain)


@pytest.fixture(params=[local, plain], ids=["installed", "plain"])
def module(request: pytest.FixtureRequest) -> Any:
    """One of the two, left as it was found."""
    recording, scope = request.param.recording(), request.param.scope()
    yield request.param
    request.param.set_recording(recording)
    request.param.set_scope(scope)


class Scope:
    """Something that a weak reference can watch."""


def in_a_thread(function: Any) -> Any:
    answers = []
    thread = threading.Thread(target=lambda: answers.append(function()))
    thread.start()
    thread.join()
    return answers[0]


def test_a_new_thread_records_and_is_in_no_scope(module):
    module.set_recording(False)
    module.set_scope(Scope())
    assert in_a_thread(lambda: (module.recording(), module.scope())) == (True, None)


def test_recording_is_switched_and_says_what_it_was(module):
    module.set_recording(True)
    assert module.set_recording(False) is True
    assert module.recording() is False
    assert module.set_recording(False) is False
    assert module.set_recording(True) is False
    assert module.recording() is True


def test_another_thread_changes_nothing_here(module):
    mine = Scope()
    module.set_recording(True)
    module.set_scope(mine)
    in_a_thread(lambda: (module.set_recording(False), module.set_scope(Scope())))
    assert module.recording() is True
    assert module.scope() is mine


def test_a_scope_is_held_until_it_is_replaced(module):
    first = Scope()
    watched = weakref.ref(first)
    module.set_scope(first)
    module.set_scope(first)
    del first
    gc.collect()
    assert module.scope() is watched()
    module.set_scope(None)
    gc.collect()
    assert module.scope() is None
    assert watched() is None


def test_a_scope_that_dies_may_ask_for_the_scope(module):
    """The new scope is there before the old one is let go."""
    seen = []

    class Curious:
        def __del__(self) -> None:
            seen.append(module.scope())

    after = Scope()
    module.set_scope(Curious())
    module.set_scope(after)
    gc.collect()
    assert seen == [after]
