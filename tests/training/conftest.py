import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """Small networks train slower on many threads, and only one thread repeats itself."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
