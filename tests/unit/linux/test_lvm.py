"""Reports of LVM, as the tool prints them."""

import json

import pytest

from wardian.errors import HostFailed
from wardian.linux import lvm

REPORT = """
  {
      "report": [
          {
              "lv": [
                  {"lv_name":"LXDPool", "lv_attr":"twi-aotz--", "lv_size":"155189248", "pool_lv":"",
                   "data_percent":"12.50", "lv_tags":"wardian.made,wardian=/var/lib/lxd/storage-pools/p"},
                  {"lv_name":"wd-0123456789abcdef-c1.ext4", "lv_attr":"Vwi-a-tz-k", "lv_size":"67108864",
                   "pool_lv":"LXDPool", "data_percent":"", "lv_tags":""}
              ]
          }
      ]
  }
"""


def test_volumes_of_a_report() -> None:
    pool, volume = lvm.parse_volumes(REPORT)
    assert pool.is_pool and pool.used == 0.125 and pool.size == 155189248
    assert pool.tags == ("wardian.made", "wardian=/var/lib/lxd/storage-pools/p")
    assert volume == lvm.LogicalVolume("wd-0123456789abcdef-c1.ext4", 67108864, 0, "LXDPool", False, ())


def test_an_empty_group_has_none() -> None:
    assert lvm.parse_volumes('{"report": [{"lv": []}]}') == []


@pytest.mark.parametrize(
    "text", ["", "[]", '{"report": 1}', json.dumps({"report": [{"lv": [{"lv_name": "x"}]}]})]
)
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(HostFailed):
        lvm.parse_volumes(text)
