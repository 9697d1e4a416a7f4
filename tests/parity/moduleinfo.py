"""PyTorch's own table of modules, run through this package.

PyTorch's wheel carries the table with which it tests its modules (`module_db`): 114 entries, each with arguments for the
constructor and for forward, in training and in evaluation.  Here PyTorch's module is built and ours, by the same name and
with the same arguments; PyTorch's state dict is loaded into ours.  What is printed, the outputs, the gradients of the inputs
and of the parameters for random upstream gradients, and the buffers afterwards must be PyTorch's, in float64.

    python -m tests.parity.moduleinfo                     all entries
    python -m tests.parity.moduleinfo Linear LazyConv2d   some
"""

import argparse
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

import tinygrad_course as tgc
from tests.parity.opinfo import Outcome, SkipSample, near, seed, tensors_in
from tests.parity.opinfo import to_ours as tensors_to_ours

EXPECTED_ERRORS = (tgc.errors.TgcError, ValueError, TypeError, IndexError)  # what a refusal here may be
TOLERANCE = 1e-10  # relative to the largest value


def entries() -> dict[str, Any]:
    """The entries of the table by name, without `nn.`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_modules import module_db
    return {entry.name.removeprefix("nn."): entry for entry in module_db}


def to_ours(value: Any, known: dict[int, Any]) -> Any:
    """An argument with our tensors, modules and options in place of PyTorch's.

    `known` holds what was converted before: a tensor that is given twice stays one tensor, whose gradient is the sum."""
    import torch

    if isinstance(value, torch.Tensor):
        if id(value) not in known:
            known[id(value)] = tensors_to_ours(value)
        return known[id(value)]
    if isinstance(value, torch.nn.LinearCrossEntropyOptions):
        names = ("allow_retain_graph", "batch_chunk_size", "chunking_method", "acc_policy", "acc_dtype")
        return tgc.nn.LinearCrossEntropyOptions(**{name: to_ours(getattr(value, name), known) for name in names})
    if isinstance(value, torch.nn.TransformerEncoderLayer | torch.nn.TransformerDecoderLayer):
        return getattr(tgc.nn, type(value).__name__)(
            value.linear1.in_features, value.self_attn.num_heads, value.linear1.out_features, value.dropout.p,
            to_ours(value.activation, known), value.norm1.eps, value.self_attn.batch_first, value.norm_first,
            value.linear1.bias is not None)
    if isinstance(value, list | tuple):
        return type(value)(to_ours(item, known) for item in value)
    if isinstance(value, dict):
        return {name: to_ours(item, known) for name, item in value.items()}
    return tensors_to_ours(value)


def inputs_of(entry: Any, training: bool) -> list[Any]:
    """The entry's arguments, the same ones at every call."""
    import torch

    seed(7)
    return list(entry.module_inputs_func(entry, device="cpu", dtype=torch.float64, requires_grad=True, training=training))


def check_input(entry: Any, given: Any, training: bool) -> None:
    """One construction, one forward and one backward in both packages; AssertionError says where they differ."""
    import torch

    make, call = given.constructor_input, given.forward_input
    theirs = entry.module_cls(*make.args, **make.kwargs).double().train(training)
    known: dict[int, Any] = {}
    ours = getattr(tgc.nn, entry.name.removeprefix("nn."))(*to_ours(make.args, known), **to_ours(make.kwargs, known))
    ours = ours.double().train(training)
    args, kwargs = to_ours(tuple(call.args), known), to_ours(call.kwargs, known)
    assert printed(ours) == printed(theirs), f"prints {ours!r}, PyTorch {theirs!r}"
    if entry.is_lazy:
        with torch.no_grad():
            theirs(*call.args, **call.kwargs)
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state), f"keys {list(ours.state_dict())}, PyTorch {list(state)}"
    ours.load_state_dict({key: tensors_to_ours(value) for key, value in state.items()})

    seed(1)
    their_out = theirs(*call.args, **call.kwargs)
    our_out = ours(*args, **kwargs)
    found, wanted = list(tensors_in(our_out, tgc.Tensor)), list(tensors_in(their_out, torch.Tensor))
    assert len(found) == len(wanted), f"{len(found)} results, PyTorch {len(wanted)}"
    for number, (y, t) in enumerate(zip(found, wanted, strict=True)):
        near(y.detach().numpy(), t.detach().numpy(), f"output {number}", TOLERANCE)
    check_gradients((args, kwargs), (call.args, call.kwargs), (ours, theirs), (found, wanted))

    assert type(ours).__name__ == type(theirs).__name__
    assert printed(ours) == printed(theirs), f"prints {ours!r} after the call, PyTorch {theirs!r}"
    for (name, b), (their_name, t) in zip(ours.named_buffers(), theirs.named_buffers(), strict=True):
        assert name == their_name, f"buffer {name}, PyTorch {their_name}"
        near(b.numpy(), t.numpy(), f"buffer {name} afterwards", TOLERANCE)
    theirs.load_state_dict({key: torch.from_numpy(value.numpy().copy()) for key, value in ours.state_dict().items()})


def check_gradients(given: Any, their_given: Any, modules: Any, outputs: Any) -> None:
    """Gradients of what requires one among the arguments, and of all parameters, for random upstream gradients."""
    import torch

    ours, theirs = modules
    pairs = [(y, t) for y, t in zip(*outputs, strict=True) if t.requires_grad]
    our_leaves = dict(_leaves(given, ours, tgc.Tensor))
    their_leaves = dict(_leaves(their_given, theirs, torch.Tensor))
    assert list(our_leaves) == list(their_leaves), f"leaves {list(our_leaves)}, PyTorch {list(their_leaves)}"
    if not pairs or not our_leaves:
        return
    for y, _ in pairs:
        assert y.requires_grad, "the result is cut off from the graph"
    rng = np.random.default_rng(1)
    gs = [rng.standard_normal(tuple(t.shape)) for _, t in pairs]
    wanted = torch.autograd.grad([t for _, t in pairs], list(their_leaves.values()), [torch.tensor(g) for g in gs],
                                 allow_unused=True)
    found = tgc.autograd.grad([y for y, _ in pairs], list(our_leaves.values()), [tgc.tensor(g) for g in gs],
                              allow_unused=True)
    for (name, x), g, t in zip(our_leaves.items(), found, wanted, strict=True):
        zeros = np.zeros(x.shape, x.dtype)
        near(zeros if g is None else g.numpy(), zeros if t is None else t.numpy(), f"gradient of {name}", TOLERANCE)


def _leaves(given: Any, module: Any, kind: type) -> Iterator[tuple[str, Any]]:
    number = 0
    for value in tensors_in(list(given), kind):
        if value.requires_grad:
            yield f"input {number}", value
            number += 1
    yield from module.named_parameters()


def printed(module: Any) -> str:
    """repr, with one way to write a type."""
    return repr(module).replace("torch.", "")


def run(entry: Any) -> Outcome:
    """All inputs of an entry, in training and in evaluation."""
    name = entry.name.removeprefix("nn.")
    if not hasattr(tgc.nn, name):
        return Outcome(name, "missing", 0)
    done = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for training in (True, False):
            for number, given in enumerate(inputs_of(entry, training)):
                where = f"input {number} ({given.desc}) in {'training' if training else 'evaluation'}"
                try:
                    check_input(entry, given, training)
                except AssertionError as error:
                    return Outcome(name, "wrong", done, f"{where}: {error} -- {given.constructor_input.kwargs}")
                except Exception as error:
                    first = f"{type(error).__name__}: {error}".splitlines()[0]
                    return Outcome(name, "error", done, f"{where}: {first[:300]} -- {given.constructor_input.kwargs}")
                done += 1
    return Outcome(name, "pass" if done else "untested", done)


def check_refusals(entry: Any) -> int:
    """Every call that is an error in PyTorch's table is one here, at the same place.  Returns how many there are."""
    import torch
    from torch.testing._internal.common_modules import ModuleErrorEnum

    if entry.module_error_inputs_func is None:
        return 0
    count = 0
    wrong = entry.module_error_inputs_func(entry, device="cpu", dtype=torch.float64, requires_grad=False, training=True)
    for number, given in enumerate(wrong):
        make, call = given.module_error_input.constructor_input, given.module_error_input.forward_input
        in_forward = given.error_on is ModuleErrorEnum.FORWARD_ERROR
        known: dict[int, Any] = {}
        try:
            args, kwargs = to_ours(make.args, known), to_ours(make.kwargs, known)
        except SkipSample:
            continue
        module = None
        try:
            module = getattr(tgc.nn, entry.name.removeprefix("nn."))(*args, **kwargs)
            if in_forward:
                # Wrong types are wrong as they stand; all else is to be wrong for no other reason than that given.
                module = module if "scalar type" in given.error_regex else module.double()
                module(*to_ours(tuple(call.args), known), **to_ours(call.kwargs, known))
        except (*EXPECTED_ERRORS, *np.atleast_1d(given.error_type)) as error:
            if (module is not None) != in_forward:
                raise AssertionError(f"error input {number} raised too early or too late: {error}") from error
            count += 1
            continue
        raise AssertionError(f"error input {number} is accepted; PyTorch: {given.error_regex}")
    return count


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    outcomes = []
    for name, entry in entries().items():
        if not arguments.names or name in arguments.names:
            start = time.perf_counter()
            outcome = run(entry)
            outcomes.append(outcome)
            seconds = time.perf_counter() - start
            print(f"{outcome.status:9s} {outcome.name} ({outcome.samples}, {seconds:.1f} s) {outcome.reason}", flush=True)
    print(dict(Counter(outcome.status for outcome in outcomes)), "of", len(outcomes))


if __name__ == "__main__":
    main()
