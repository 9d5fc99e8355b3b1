"""Fields of the contract: what is taken is what every reader of it, browsers included, reads."""

import pytest
from rest_framework.exceptions import ValidationError

from shared.http.fields import WebAddress

ADDRESSES = [
    "https://shop.example",
    "https://shop.example/",
    "https://shop.example/thanks?order=1&a[]=b#done",
    "https://shop.example?order=1",
    "HTTPS://Shop.Example:8443/a/../b//c;d=e?x=%2F%5c@/:'()*+,",
    "http://localhost:3000/back",
    "http://127.0.0.1:8000/",
    "http://[::1]:8000/",
    "http://my_shop:80/",
    "https://xn--shp-tna.example./",
]
# What browsers make of some of them: another host, a script, or nothing at all.
MENDED = [
    "https://shop.example\\@evil.example/",
    "https:\\\\evil.example",
    "https:/\\evil.example/",
    "https:/evil.example/",
    "https:evil.example",
    "https:///evil.example/",
    "https://shop.example\\.evil.example/",
    "https://shop.example/\\evil.example",
    "\\\\evil.example",
    "//evil.example",
    "/\\evil.example",
    "java\tscript:alert(1)",
    "https://shop.exam\tple/",
    "https://shop.exam\nple/",
    "https://shop.exam\rple/",
    "https://shop.example/\x00",
    " https://shop.example/",
    "https://shop.example/ ",
    "\x01https://shop.example/",
    "\ufeffhttps://shop.example/",
    "https://shop.example\u00a0/",
    "https://user@shop.example/",
    "https://user:password@shop.example/",
    "https://shop.example@evil.example/",
    "https://shop.example:443@evil.example/",
    "https://@shop.example/",
    "https://shop.example%2eevil.example/",
    "https://shop%00.example/",
    "https://ｓhop.example/",
    "https://shop。example/",
    "https://shöp.example/",
    "https://0x7f.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0177.0.0.1/",
    "https://127.0.0.1./",
    "https://shop..example/",
    "https://.example/",
    "https://-shop.example/",
    "https://shop.example:0/",
    "https://shop.example:65536/",
    "https://shop.example:/",
    "https://shop.example:8o/",
    "https://[::1/",
    "https://[v1.x]/",
    "https://[::1%25eth0]/",
    "https://" + "a" * 64 + ".example/",
    "https://" + "a." * 127 + "example/",
    "https://shop.example/%zz",
    'https://shop.example/"><script>',
    "https://shop.example/|",
    "javascript:alert(1)",
    "javascript://shop.example/%0aalert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    "ftp://shop.example/",
    "blob:https://shop.example/",
    "view-source:https://shop.example/",
    "intent://shop.example/",
    "https://",
    "https",
    "",
]


class TestWebAddress:
    @pytest.mark.parametrize("address", ADDRESSES)
    def test_takes_what_is_one(self, address: str) -> None:
        assert WebAddress().run_validation(address) == address

    @pytest.mark.parametrize("text", MENDED, ids=ascii)
    def test_refuses_what_a_browser_would_mend(self, text: str) -> None:
        with pytest.raises(ValidationError):
            WebAddress().run_validation(text)

    def test_takes_time_in_proportion(self) -> None:
        with pytest.raises(ValidationError):
            WebAddress(max_length=200_000).run_validation("https://" + "a-" * 50_000 + "\\")
