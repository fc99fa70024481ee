"""Chromium without a window, driven by Selenium, where both are installed."""

import shutil

from selenium import webdriver

BROWSERS = ("chromium", "google-chrome")
DRIVER = "chromedriver"  # Debian: apt install chromium chromium-driver
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync --force-device-scale-factor=1"
)


def find() -> str | None:
    """The path of a browser."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def missing() -> list[str]:
    """The programs that a test in a browser needs and that are not on PATH."""
    return ["Chromium"] * (find() is None) + [DRIVER] * (shutil.which(DRIVER) is None)


def start() -> webdriver.Chrome:
    """A new browser; the caller ends it by `quit()`."""
    options = webdriver.ChromeOptions()
    options.binary_location = find()
    for flag in FLAGS.split():
        options.add_argument(flag)
    return webdriver.Chrome(options, webdriver.ChromeService(shutil.which(DRIVER)))


def resize(page: webdriver.Chrome, width: int, height: int) -> None:
    """Give the page this size, also one that a window cannot have."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
