"""A little of every kernel family on odd sizes, for valgrind, which makes it fifty times slower."""

import tinygrad_course as tgc
from tinygrad_course import nn, optim

F = nn.functional


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 5)
        self.lstm = nn.LSTM(5, 19)
        self.gru = nn.GRU(19, 7, bidirectional=True)
        self.norm = nn.LayerNorm(14)

    def forward(self, symbols: tgc.Tensor) -> tgc.Tensor:
        return self.norm(self.gru(self.lstm(self.embedding(symbols))[0])[0])


convolutions = nn.Sequential(
    nn.Conv2d(1, 3, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 17, 1), nn.BatchNorm2d(17), nn.ReLU(),
    nn.Conv2d(17, 18, 3, padding=1), nn.BatchNorm2d(18), nn.LeakyReLU(0.1), nn.Conv2d(18, 18, 3, groups=18, padding=1),
    nn.GELU(),
    nn.ConvTranspose2d(18, 5, 4, stride=2, padding=1), nn.GroupNorm(1, 5), nn.Upsample(scale_factor=2, mode="bilinear"),
    nn.AvgPool2d(2), nn.Conv2d(5, 4, 3, stride=2, dilation=2), nn.Dropout(0.2), nn.Flatten(), nn.Linear(36, 7),
)
recurrent = Recurrent()

tgc.manual_seed(0)
optimizers = [optim.Adam(convolutions.parameters()), optim.SGD(recurrent.parameters(), lr=0.1, momentum=0.9)]
for batch in (2, 3):
    images, labels = tgc.randn(batch, 1, 14, 14), tgc.tensor([1, 2, 6][:batch])
    symbols = tgc.tensor([[0, 3, 10][:batch], [7, 7, 1][:batch]])
    loss = F.cross_entropy(convolutions(images), labels)
    loss = loss + F.binary_cross_entropy_with_logits(recurrent(symbols).mean(dim=(0, 2)), labels.float() / 7)
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(convolutions.parameters(), 0.1)
    nn.utils.clip_grad_value_(recurrent.parameters(), 0.1)
    for optimizer in optimizers:
        optimizer.step()
print(f"loss {loss.item():.4f}")
