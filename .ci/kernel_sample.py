"""A little of every kernel family on odd sizes, for valgrind, which makes it fifty times slower."""

import tinygrad_course as tgc
from tinygrad_course import nn, optim

tgc.manual_seed(0)
net = nn.Sequential(nn.Conv2d(1, 3, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(75, 7))
optimizer = optim.Adam(net.parameters())
for batch in (1, 3):
    images, labels = tgc.randn(batch, 1, 14, 14), tgc.tensor([1, 2, 6][:batch])
    loss = nn.functional.cross_entropy(net(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"loss {loss.item():.4f}")
