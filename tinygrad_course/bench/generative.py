"""DCGAN on 32x32 images.  The argument `torch` of `build` is either engine."""

from typing import Any

import numpy as np

from tinygrad_course.bench.task import Model, Task


def _dcgan(torch: Any, real: Any, noise: Any) -> Task:
    """Radford et al. 2016, arXiv:1511.06434: one update of the discriminator and one of the generator."""
    nn, F = torch.nn, torch.nn.functional
    generator = nn.Sequential(
        nn.ConvTranspose2d(100, 256, 4, 1, 0, bias=False), nn.BatchNorm2d(256), nn.ReLU(True),
        nn.ConvTranspose2d(256, 128, 4, 2, 1, bias=False), nn.BatchNorm2d(128), nn.ReLU(True),
        nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(True),
        nn.ConvTranspose2d(64, 1, 4, 2, 1, bias=False), nn.Tanh())
    discriminator = nn.Sequential(
        nn.Conv2d(1, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(64, 128, 4, 2, 1, bias=False), nn.BatchNorm2d(128), nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(128, 256, 4, 2, 1, bias=False), nn.BatchNorm2d(256), nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(256, 1, 4, 1, 0, bias=False), nn.Flatten(0))
    n = len(real)
    ones, zeros = torch.ones(n), torch.zeros(n)
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    criterion = F.binary_cross_entropy_with_logits

    def step() -> Any:
        d_optimizer.zero_grad()
        fake = generator(noise)
        d_loss = criterion(discriminator(real), ones) + criterion(discriminator(fake.detach()), zeros)
        d_loss.backward()
        d_optimizer.step()
        g_optimizer.zero_grad()
        g_loss = criterion(discriminator(fake), ones)
        g_loss.backward()
        g_optimizer.step()
        return d_loss.detach() + g_loss.detach()

    return Task([generator, discriminator], step, lambda: generator(noise))


MODELS = (
    Model("dcgan", "DCGAN 32x32, batch 32", 1.5,
          lambda rng: (rng.uniform(-1, 1, (32, 1, 32, 32)).astype(np.float32),
                       rng.standard_normal((32, 100, 1, 1), dtype=np.float32)), _dcgan),
)
