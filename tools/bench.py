"""Measures the book's networks and its physics beside their peers, in one run on one machine.

    python tools/bench.py            minutes; it prints ratios and asserts nothing
    python tools/bench.py vae        that part alone (gan, vae, sr, radon, fwi or live)

A peer network is rebuilt here from its published description: same layers, same optimiser, same
batch. It is given the seconds that ours took, on the same data, and both are scored by the same
measure. One seed each. A peer operator is the library's own, on the same image and angles. `live`
has no peer: it times the networks inside the built site's playground (`make book` first).
"""

from __future__ import annotations

import io
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import skimage
import torch
import torch.nn.functional as F
from browser import launch, serve
from nbsource import NOTEBOOKS, ROOT, definitions, find
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from torch import Tensor, nn


def main() -> None:
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads\n")
    parts = {"gan": gan, "vae": vae, "sr": sr, "radon": radon, "fwi": fwi, "live": live}
    for name in sys.argv[1:] or parts:
        parts[name]()


def gan() -> None:
    """The short run of 03_gan, and the 64x64 DCGAN of PyTorch's examples, on the 4,000 digits."""
    chapter = definitions(find("03_gan"))
    from helpers.data import digits
    from helpers.metrics import digit_scores

    x, x_test = digits("train")[0], digits("test")[0]
    torch.manual_seed(0)
    G, history = chapter.short_run(x)
    ours = digit_scores(chapter.draw(G), x, x_test)["FD"]
    floor = digit_scores(x, x, x_test)["FD"]
    torch.manual_seed(0)
    images, steps, seconds = peer_dcgan(x, history.seconds)
    peer = digit_scores(images, x, x_test)["FD"]
    print("GAN on 4,000 digits, Fréchet distance to 1,000 held-out ones")
    print(f"  real against real   {floor:8.2f}")
    rows = {
        "03_gan, short run": (ours, history.step[-1] + 1, history.seconds),
        "examples' dcgan": (peer, steps, seconds),
    }
    for name, (distance, count, spent) in rows.items():
        print(f"  {name:19s} {distance:8.2f}  {count:5d} steps {spent:4.0f} s")
    print(f"  ratio               {peer / ours:8.0f}")


def peer_dcgan(x: Tensor, seconds: float) -> tuple[Tensor, int, float]:
    """DCGAN as in PyTorch's examples: 64x64 images in [-1, 1], width 64, Adam 2e-4 (0.5, 0.999).

    Gives 4,000 of its images, brought to 28x28 in [0, 1], the steps that it took and the seconds.
    """

    def stage(
        convolution: Callable, i: int, o: int, *shape: int, act: nn.Module
    ) -> list[nn.Module]:
        return [convolution(i, o, *shape, bias=False), nn.BatchNorm2d(o), act]

    up, down, w = nn.ConvTranspose2d, nn.Conv2d, 64
    relu, leaky = nn.ReLU(), nn.LeakyReLU(0.2)
    G = nn.Sequential(
        *stage(up, 100, 8 * w, 4, 1, 0, act=relu), *stage(up, 8 * w, 4 * w, 4, 2, 1, act=relu),
        *stage(up, 4 * w, 2 * w, 4, 2, 1, act=relu), *stage(up, 2 * w, w, 4, 2, 1, act=relu),
        up(w, 1, 4, 2, 1, bias=False), nn.Tanh(),
    )  # fmt: skip
    D = nn.Sequential(
        down(1, w, 4, 2, 1, bias=False), leaky, *stage(down, w, 2 * w, 4, 2, 1, act=leaky),
        *stage(down, 2 * w, 4 * w, 4, 2, 1, act=leaky),
        *stage(down, 4 * w, 8 * w, 4, 2, 1, act=leaky),
        down(8 * w, 1, 4, 1, 0, bias=False), nn.Sigmoid(), nn.Flatten(0),
    )  # fmt: skip
    for module in (*G.modules(), *D.modules()):
        if isinstance(module, up | down):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
    large = F.interpolate(x, 64, mode="bilinear") * 2 - 1
    adam = [torch.optim.Adam(m.parameters(), 2e-4, betas=(0.5, 0.999)) for m in (G, D)]
    real_label, fake_label = torch.ones(64), torch.zeros(64)
    began, steps = time.perf_counter(), 0
    while (spent := time.perf_counter() - began) < seconds:
        real, fake = large[torch.randint(len(x), (64,))], G(torch.randn(64, 100, 1, 1))
        D.zero_grad()
        F.binary_cross_entropy(D(real), real_label).backward()
        F.binary_cross_entropy(D(fake.detach()), fake_label).backward()
        adam[1].step()
        G.zero_grad()
        F.binary_cross_entropy(D(fake), real_label).backward()
        adam[0].step()
        steps += 1
    with torch.no_grad():  # in training mode, as its authors draw
        drawn = torch.cat([G(torch.randn(100, 100, 1, 1)) for _ in range(40)])
    small = F.interpolate(drawn, 28, mode="bilinear", antialias=True)
    return ((small + 1) / 2).clamp(0, 1), steps, spent


def vae(seconds: float = 20.0) -> None:
    """04_vae's network and training, and those of PyTorch's examples, crossed, at equal seconds."""
    chapter = definitions(find("04_vae"))
    from helpers.data import digits

    x, x_test = digits("train")[0], digits("test")[0]

    def ours(activation: type[nn.Module] = nn.SiLU) -> tuple[nn.Module, nn.Module]:
        pair = chapter.DigitEncoder(w=8), chapter.DigitDecoder(w=8)
        for module in [module for half in pair for module in half.modules()]:
            for name, child in module.named_children():
                if isinstance(child, nn.SiLU):
                    setattr(module, name, activation())
        return pair

    def theirs() -> tuple[nn.Module, nn.Module]:
        return chapter.PlainEncoder(), chapter.PlainDecoder()

    rows = {
        "04_vae, short run": (ours, chapter.train_vae),
        "examples' vae": (theirs, chapter.train_plain),
        "our network, their training": (ours, chapter.train_plain),
        "their network, our training": (theirs, chapter.train_vae),
        "ours, digits not bent": (ours, partial(chapter.train_vae, bent=(0, 0))),
        "ours, ReLU for SiLU": (partial(ours, nn.ReLU), chapter.train_vae),
    }
    print(f"VAE on 4,000 digits, negative ELBO of 1,000 held-out ones, {seconds:.0f} s each")
    for name, (build, fit) in rows.items():
        fit(*build(), x, 20)  # warm up
        steps = round(60 * seconds / fit(*build(), x, 60).seconds)
        torch.manual_seed(0)
        pair = build()
        spent = fit(*pair, x, steps).seconds
        nats = chapter.nats(*pair, x_test, draws=10)
        print(f"  {name:28s} {nats:6.1f} nats  {steps:5d} steps {spent:4.0f} s")


def sr(steps: int = 2300) -> None:
    """The short training of 06a_super_resolution, and the network of PyTorch's examples, x3."""
    chapter = definitions(find("06a_super_resolution"))
    from helpers.data import photographs

    sources = [g for x in photographs("train").values() for g in chapter.greys(x)]
    data = chapter.pairs(sources, 3)
    plain = {"lr": 1e-3, "loss": F.mse_loss, "cycle": False}

    def gain(network: nn.Module) -> float:
        over = [
            chapter.score(network, x, 3) - chapter.score(lambda y: chapter.bicubic(y, 3), x, 3)
            for x in photographs("test").values()
        ]
        return statistics.mean(over)

    torch.manual_seed(0)
    ours = chapter.SRResNet(3, 32, 4).to(memory_format=torch.channels_last)
    seconds = chapter.fit(ours, data, 3, steps, lr=4e-3).seconds
    torch.manual_seed(0)
    peer = chapter.Peer(3).to(memory_format=torch.channels_last)
    each = chapter.fit(chapter.Peer(3), data, 3, 60, **plain).seconds / 60
    count = round(seconds / each)
    spent = chapter.fit(peer, data, 3, count, **plain).seconds
    print("Super-resolution x3, seven held-out photographs, dB of luma over bicubic")
    print(f"  06a, short run      {gain(ours):+6.2f}  {steps:5d} steps {seconds:4.0f} s")
    print(f"  examples' network   {gain(peer):+6.2f}  {count:5d} steps {spent:4.0f} s")


def radon(side: int = 128, views: int = 60, runs: int = 31) -> None:
    """The Radon transform and its adjoint, and those of scikit-image and DeepInverse."""
    sys.path.insert(0, str(NOTEBOOKS))
    from helpers.physics import Radon, adjoint_error

    angles = torch.arange(views) * 180 / views
    x, began = phantom(side), time.perf_counter()
    A = Radon((side, side), angles)
    building = time.perf_counter() - began
    y = A(x)
    calls = {
        ("ours", "A"): lambda: A(x),
        ("ours", "adjoint"): lambda: A.adjoint(y),
        ("scikit-image", "A"): lambda: skimage_radon(x, angles),
    }
    missing = ""
    try:
        from deepinv.physics import Tomography
    except ModuleNotFoundError:
        missing = "  deepinv is not installed"
    else:
        peer = Tomography(angles=angles, img_width=side, circle=True, normalize=False)
        y_peer = peer.A(x)
        calls["deepinv", "A"] = lambda: peer.A(x)
        calls["deepinv", "adjoint"] = lambda: peer.A_adjoint(y_peer)
    seconds: dict[tuple[str, str], list[float]] = {name: [] for name in calls}
    for _ in range(1 + runs):  # in turn, so that a busy machine is busy for all of them
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - began)
    median = {name: 1e3 * statistics.median(times[1:]) for name, times in seconds.items()}
    print(f"Radon transform, {side} x {side}, {views} views, median of {runs} runs")
    for (who, what), time_ms in median.items():
        print(f"  {who:13s} {what:8s} {time_ms:8.2f} ms  {time_ms / median['ours', what]:6.1f}")
    print(missing, end="\n" if missing else "")
    print(f"  ours is built once, in {building:.2f} s; adjoint error", end=" ")
    print(f"{adjoint_error(A, tuple(x.shape)):.0e}")
    odd = phantom(side - 1)  # scikit-image turns an even image about a pixel beside its centre
    ours, theirs = Radon((side - 1, side - 1), angles)(odd), skimage_radon(odd, angles)
    apart = (ours - theirs).norm() / theirs.norm()
    print(f"  ours and scikit-image differ by {100 * apart:.2f} % at {side - 1} x {side - 1}\n")


def fwi(runs: int = 7) -> None:
    """The waves of 07d_physics_guided and their gradient, and those of Deepwave."""
    chapter = definitions(find("07d_physics_guided"))
    torch.set_flush_denormal(True)
    shots = [5, 23, 41, 59]
    A, x = chapter.Wells(64, shots, 8.0), chapter.layered(1, 64, seed=3)
    print(f"Acoustic waves, 64 x 64 cells, {len(shots)} shots, {len(A.s)} steps, median of {runs}")
    try:
        import deepwave
    except ModuleNotFoundError:
        print("  deepwave is not installed")
        return

    def peer(x: Tensor) -> Tensor:
        """Seismograms (T, 1, shots, 64) of Deepwave, by its perfectly matched layers."""
        rows = [chapter.border + k for k in shots]
        pulses = torch.stack([A.s[:, 0, k, row] for k, row in enumerate(rows)])
        record = deepwave.scalar(
            1.8 + 2.2 * x[0, 0], 1.28 / 64, A.dt, source_amplitudes=-1e4 * pulses[:, None],
            source_locations=torch.tensor([[[k, 2]] for k in shots]),
            receiver_locations=torch.tensor([[[k, 61] for k in range(64)]] * len(shots)),
            accuracy=8, pml_width=20, pml_freq=8.0, max_vel=4.0,
        )[-1]  # fmt: skip
        return record.permute(2, 0, 1)[:, None]

    seconds: dict[str, list[float]] = {"07d": [], "Deepwave": []}
    for _ in range(1 + runs):
        for name, forward in (("07d", A), ("Deepwave", peer)):
            x = x.detach().requires_grad_()
            began = time.perf_counter()
            forward(x).square().sum().backward()
            seconds[name].append(time.perf_counter() - began)
    for name, times in seconds.items():
        median = statistics.median(times[1:])
        print(f"  {name:9s} seconds for a gradient {median:7.3f}")
    with torch.no_grad():
        theirs, ours = peer(x), A(x)
        chapter.border, thin = 64, chapter.border  # a sponge that reflects nothing
        wide = chapter.Wells(64, shots, 8.0)(x)
        chapter.border = thin
    for name, y in (("our sponge", ours), ("a sponge four times as wide", wide)):
        apart = (y - theirs).norm() / theirs.norm()
        print(f"  seismograms with {name}: {100 * apart:.1f} % from Deepwave's")


def live() -> None:
    """The playground in a browser: seconds to the first answer, digits a second, one photograph."""
    site = ROOT / "_build" / "html"
    if not (site / "book" / "playground.html").is_file():
        raise SystemExit("There is no built site: run `make book` first.")
    with serve(site) as address, sync_playwright() as playwright:
        browser = launch(playwright)
        print("Networks in the browser, one thread of WebAssembly")
        for demo in ("generate", "classify", "encode", "flow", "denoise", "tomography"):
            page, seconds = start_demo(browser, address, demo)
            print(f"  {demo:12s} first answer {seconds:5.2f} s after the click")
            if demo == "generate":
                page.get_by_role("button", name="Walk").click()
                page.wait_for_timeout(5000)
                print(" ", page.locator(".igr-live-panel figcaption").inner_text())
            page.close()
        page, seconds = start_demo(browser, address, "enlarge")
        photo = (255 * torch.rand(768, 768, 3)).byte().numpy()
        buffer = io.BytesIO()
        Image.fromarray(photo).save(buffer, "PNG")
        file = {"name": "p.png", "mimeType": "image/png", "buffer": buffer.getvalue()}
        page.locator("[data-demo=enlarge] input[type=file]").set_input_files(file)
        said = page.locator("[data-demo=enlarge]").get_by_text("256 by 256")
        print(f"  enlarge      first answer {seconds:5.2f} s; then {said.inner_text()}")
        browser.close()


def start_demo(browser: Browser, address: str, demo: str) -> tuple[Page, float]:
    """A fresh profile with the demo started, and the seconds from the click to its first answer."""
    page = browser.new_context().new_page()
    page.goto(f"{address}/book/playground.html")
    began = time.perf_counter()
    page.locator(f"[data-demo={demo}]").get_by_role("button", name="Start").click()
    page.wait_for_selector(f"[data-demo={demo}][data-state=running]", timeout=60_000)
    return page, time.perf_counter() - began


def phantom(side: int) -> Tensor:
    image = skimage.data.shepp_logan_phantom()
    return torch.from_numpy(skimage.transform.resize(image, (side, side))).float()[None, None]


def skimage_radon(x: Tensor, angles: Tensor) -> Tensor:
    sinogram = skimage.transform.radon(x[0, 0].numpy(), angles.numpy(), circle=True)
    return torch.from_numpy(sinogram.T.copy())[None, None]


if __name__ == "__main__":
    main()
