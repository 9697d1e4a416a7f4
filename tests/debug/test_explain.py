"""explain: its numbers are those of backward and of a hand calculation, and the graph is as before."""

import re
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.autograd.test_memory import PROGRAMS
from tinygrad_course import nn
from tinygrad_course.autograd import Function, grad
from tinygrad_course.autograd.anomaly import detect_anomaly
from tinygrad_course.debug import explain
from tinygrad_course.errors import GraphError
from tinygrad_course.nn import functional as F


def scalar_graph() -> dict[str, Any]:
    x = tgc.tensor(3.0)
    w = tgc.tensor(2.0, requires_grad=True)
    b = tgc.tensor(-1.0, requires_grad=True)
    y = w * x + b
    loss = (y - w) ** 2
    return {"loss": loss, "e": explain(loss), "w": w, "b": b}


TEXT = """\
L = loss = 9: the chain rule through 4 ops, newest first

[4] loss = pow(v3, 2) = 9
    rule       z = x^y.  RULE
    arrives    dL/dloss = 1
    passes on  to v3 = 1 * 6 = 6

[3] v3 = sub(y, w) = 3
    rule       z = x - y.  RULE
    arrives    dL/dv3 = 6
    passes on  to y = 6 * 1 = 6
               to w = 6 * (-1) = -6

[2] y = add(v1, b) = 5
    rule       z = x + y.  RULE
    arrives    dL/dy = 6
    passes on  to v1 = 6 * 1 = 6
               to b  = 6 * 1 = 6

[1] v1 = mul(w, x) = 6
    rule       z = x y.  RULE
    arrives    dL/dv1 = 6
    passes on  to w = 6 * 3 = 18

The gradients
  dL/dw = -6 from [3]  +  18 from [1]  =  12
  dL/db = 6"""


def test_text_of_a_scalar_graph() -> None:
    """Every number by hand: y = 2*3 - 1 = 5, loss = (5-2)^2 = 9, dL/dw = 2*3*(3-1) = 12."""
    text = str(scalar_graph()["e"])
    assert re.sub(r"(rule       .*?\.  ).*", r"\1RULE", text) == TEXT


def test_the_graph_is_as_before() -> None:
    made = scalar_graph()
    assert made["w"].grad is None
    first = str(made["e"])
    loss = made["loss"]
    assert str(explain(loss, names={"loss": loss, **made})).count("[") == first.count("[")
    loss.backward()
    assert made["w"].grad.item() == 12
    assert made["b"].grad.item() == 6


def test_gradients_equal_those_of_backward(rng: np.random.Generator) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Linear(3, 4), nn.Tanh())
    x = tgc.tensor(rng.normal(size=(2, 1, 8, 8)).astype("float32"), requires_grad=True)
    h = model(x)
    loss = (h * h.softmax(-1)).sum() + sum((p ** 2).mean() for p in model.parameters())
    found = explain(loss).gradients
    loss.backward()
    wanted = {**{name: p.grad for name, p in model.named_parameters()}, "x": x.grad}
    assert found.keys() == wanted.keys()
    for name, g in wanted.items():
        np.testing.assert_allclose(found[name], g.numpy(), rtol=1e-5, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str) -> None:
    x = tgc.tensor(np.array([0.5, 1.0, 1.5, 2.0]), requires_grad=True)
    loss = (PROGRAMS[name](x) * 1.5).sum()
    found = explain(loss)
    loss.backward()
    np.testing.assert_allclose(found.gradients["x"], x.grad.numpy(), rtol=1e-12)
    for form in (str(found), found.latex(), found.html()):
        assert "nan" not in form


@pytest.mark.parametrize("name", ["saved outputs", "max", "softmax", "cross entropy", "conv and pool", "matmul"])
def test_second_derivatives(name: str) -> None:
    x = tgc.tensor(np.array([0.5, 1.0, 1.5, 2.0]), requires_grad=True)
    (g,) = grad((PROGRAMS[name](x) ** 3).sum(), x, create_graph=True)
    loss = (g * g).sum()
    found = explain(loss)
    loss.backward()
    np.testing.assert_allclose(found.gradients["x"], x.grad.numpy(), rtol=1e-12)


def test_values_are_those_of_forward() -> None:
    """Ops that draw numbers are not run again, which would give others."""
    x = tgc.tensor(np.ones(6), requires_grad=True)
    y = tgc.ops.dropout(x, 0.5)
    z = y + 1
    text = str(explain(z.sum()))
    assert re.search(rf"y = \w+\(x.*\) = {re.escape(str([int(value) for value in y.tolist()]))}", text)
    assert f"z = add(y, const) = {[int(value) for value in z.tolist()]}" in text
    assert "(nobody kept the value)" in str(explain(tgc.ops.dropout(x, 0.5).sum()))


def test_modules_and_lines_are_named() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid())
    with detect_anomaly():
        loss = model(tgc.ones(1, 2)).sum()  # the line
    text = str(explain(loss))
    assert "in         Sequential.0, test_explain.py:" in text
    assert "loss = model(tgc.ones(1, 2)).sum()  # the line" in text
    assert "0.weight" in text


def test_large_tensors_are_abbreviated() -> None:
    x = tgc.tensor(np.full((4, 5), 0.5), requires_grad=True)
    text = str(explain((x * 3).sum()))
    assert "dL/dx = (4, 5) with mean 3, norm 13.42" in text


def test_precision() -> None:
    x = tgc.tensor(1 / 3, dtype="float64", requires_grad=True)
    y = x * 2
    assert "= 0.67:" in str(explain(y, precision=2))
    assert "= 0.66666667:" in str(explain(y, precision=8))


def test_only_the_way_to_some_inputs() -> None:
    x, w = tgc.tensor(2.0, requires_grad=True), tgc.tensor(3.0, requires_grad=True)
    side = w.exp()
    h = x * w
    loss = h.tanh() + side
    e = explain(loss, inputs=x)
    assert list(e.gradients) == ["x"]
    assert "exp" not in str(e)
    assert "to w" not in str(e)
    e = explain(loss, inputs=[h, w])
    assert e.gradients["h"] == pytest.approx(1 - np.tanh(6) ** 2, abs=1e-6)
    assert e.gradients["w"] == pytest.approx(np.exp(3) + 2 * (1 - np.tanh(6) ** 2), rel=1e-6)
    with pytest.raises(GraphError, match=r"input 1 of shape \(2,\) was not used"):
        explain(loss, inputs=[x, tgc.ones(2, requires_grad=True)])


def test_values_are_found_wherever_they_are() -> None:
    """3 is not kept by sub, and the value of v2 only follows from that of v1."""
    x = tgc.tensor([1.0, 2.0], requires_grad=True)
    text = str(explain(((x * 4) - x).sum()))
    assert "v1 = mul(x, 4) = [4, 8]" in text
    assert "v2 = sub(v1, x) = [3, 6]" in text
    assert "v1 = sub(const, x)   (nobody kept the value)" in str(explain((3 - x).sum()))


def test_several_outputs() -> None:
    x = tgc.tensor([1.0, 5.0, 2.0], requires_grad=True)
    values, _ = x.max(0)
    text = str(explain(values * 2))
    assert "dL/dx = [0, 2, 0]" in text


def test_custom_functions() -> None:
    class Twice(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2

    x = tgc.tensor(1.0, requires_grad=True)
    text = str(explain(Twice.apply(x)))
    assert "Twice(x) = 2" in text
    assert "as Twice.backward says" in text
    assert "dL/dx = 2" in text


def test_a_hundred_thousand_ops() -> None:
    x = tgc.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(50_000):
        y = y * 1.0 + x
    e = explain(y, max_nodes=8)
    assert len(e.steps) == 8
    assert [step.number for step in e.steps] == [100_000, 99_999, 99_998, 99_997, 99_996, 99_995, 2, 1]
    assert "... 99,992 ops not shown ..." in str(e)
    assert "49,997 more terms" in str(e)
    assert e.gradients["x"] == 50_001
    assert "99,992 ops not shown" in e.html()


def test_errors() -> None:
    x = tgc.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(GraphError, match="is a leaf: nothing was computed"):
        explain(x)
    with pytest.raises(GraphError, match="has no graph"):
        explain((x * 2).detach())
    with pytest.raises(GraphError, match=r"shape \(2,\); only a single number"):
        explain(x * 2)
    loss = (x * x).sum()
    loss.backward()
    with pytest.raises(GraphError, match="freed what mul had saved"):
        explain(loss)


def test_latex() -> None:
    latex = scalar_graph()["e"].latex()
    assert r"\frac{\partial L}{\partial w} &\leftarrow \frac{\partial L}{\partial v_{3}}" in latex
    assert r"6 \cdot (-1) = -6" in latex
    assert r"\boxed{\frac{\partial L}{\partial w}} &= -6 + 18 = 12" in latex
    assert latex.count("{") == latex.count("}")
    x = tgc.tensor([[1.0, 2.0]], requires_grad=True)
    assert r"\begin{bmatrix} 2 & 4 \end{bmatrix}" in explain((x ** 2).sum()).latex()


def test_latex_is_understood(rng: np.random.Generator) -> None:
    mathtext = pytest.importorskip("matplotlib.mathtext")
    for row in scalar_graph()["e"].latex().splitlines()[1:-1]:
        mathtext.MathTextParser("path").parse(f"${row.replace('&', '').replace('boxed', 'mathrm').rstrip(chr(92))}$")


def test_html_is_whole_and_alone() -> None:
    from html.parser import HTMLParser

    stack: list[str] = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            assert not {name for name, _ in attrs} & {"src", "href"}
            stack.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert stack.pop() == tag

    x = tgc.tensor(3.0, requires_grad=True)
    weird = x * x
    page = explain(weird, names={"<b>": weird})._repr_html_()
    Balance().feed(page)
    assert stack == []
    assert "&lt;b&gt;" in page
    assert "http" not in page


def test_cross_entropy_of_a_model_is_explained() -> None:
    model = nn.Linear(3, 2)
    loss = F.cross_entropy(model(tgc.ones(4, 3)), tgc.tensor([0, 1, 0, 1]))
    text = str(explain(loss))
    assert "cross_entropy(" in text
    assert "dL/dbias" in text
