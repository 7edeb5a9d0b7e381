"""Gradient modes, inference mode, detach, .data and requires_grad_, against PyTorch."""

from tests.support.both import run_both, scripts


@scripts(
    no_grad="""
        x = torch.ones(2, requires_grad=True)
        with torch.no_grad():
            y = x * 2
            print(y.requires_grad, torch.is_grad_enabled())
        print(torch.is_grad_enabled(), (x * 2).requires_grad, y.requires_grad)
    """,
    as_decorators="""
        @torch.no_grad()
        def f(x):
            "text"
            return x * 2
        @torch.enable_grad()
        def g(x):
            return x * 2
        @torch.no_grad
        def h(x):
            return x * 2
        x = torch.ones(2, requires_grad=True)
        print(f(x).requires_grad, f.__name__, f.__doc__, h(x).requires_grad)
        with torch.no_grad():
            print(g(x).requires_grad)
    """,
    on_a_generator="""
        @torch.no_grad()
        def parts(x):
            for i in range(2):
                yield (x * i).requires_grad
        print(list(parts(torch.ones(1, requires_grad=True))), torch.is_grad_enabled())
    """,
    enable_grad="""
        x = torch.ones(2, requires_grad=True)
        with torch.no_grad(), torch.enable_grad():
            y = x * 2
        y.sum().backward()
        print(x.grad)
    """,
    set_grad_enabled="""
        x = torch.ones(2, requires_grad=True)
        for mode in (True, False):
            with torch.set_grad_enabled(mode):
                print((x * 2).requires_grad, torch.is_grad_enabled())
        torch.set_grad_enabled(False)
        print((x * 2).requires_grad)
        torch.set_grad_enabled(True)
        print((x * 2).requires_grad)
    """,
    an_exception_restores="""
        try:
            with torch.no_grad():
                raise KeyError
        except KeyError:
            print(torch.is_grad_enabled())
    """,
    inference_mode="""
        x = torch.ones(2, requires_grad=True)
        with torch.inference_mode():
            y = x * 2
            print(y.requires_grad, y.is_inference(), torch.is_inference_mode_enabled())
        print(torch.is_inference_mode_enabled(), x.is_inference())
        @torch.inference_mode()
        def f(x):
            return x * 3
        print(f(x).requires_grad)
    """,
    inference_tensors_are_not_saved="""
        with torch.inference_mode():
            y = torch.ones(2)
        x = torch.ones(2, requires_grad=True)
        (x * y).sum().backward()
    """,
    inference_tensors_are_not_written="""
        with torch.inference_mode():
            y = torch.ones(2)
        y.add_(1)
    """,
    new_leaves_under_no_grad="""
        with torch.no_grad():
            x = torch.ones(2, requires_grad=True)
            p = nn.Parameter(torch.ones(2))
        print(x.requires_grad, p.requires_grad, x.is_leaf)
    """,
    updates_by_hand="""
        w = torch.tensor([1.0, 2.0], requires_grad=True)
        for _ in range(3):
            (w ** 2).sum().backward()
            with torch.no_grad():
                w -= 0.1 * w.grad
            w.grad.zero_()
        print(w)
    """,
    updates_by_data="""
        w = torch.tensor([1.0, 2.0], requires_grad=True)
        for _ in range(3):
            (w ** 2).sum().backward()
            w.data -= 0.1 * w.grad.data
            w.grad.data.zero_()
        print(w, w.grad)
    """,
    saved_views_in_threads="""
        import threading
        seen = []
        def work():
            seen.append(torch.is_grad_enabled())
        with torch.no_grad():
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        print(seen)
    """,
)
def test_modes(script):
    run_both(script)


@scripts(
    detach="""
        x = torch.ones(2, requires_grad=True)
        y = x * 2
        z = y.detach()
        print(z.requires_grad, z.grad_fn, z.is_leaf)
        z += 1
        print(y, z)
    """,
    detach_in_place="""
        x = torch.ones(2, requires_grad=True)
        y = x * 2
        print(y.detach_() is y, y.requires_grad, y.is_leaf)
    """,
    detach_in_place_of_a_view="""
        x = torch.ones(2, requires_grad=True)
        y = (x * 2)[0]
        y.detach_()
    """,
    detach_shares_memory_and_version="""
        x = torch.ones(2, requires_grad=True)
        y = x * 2
        z = (y * y).sum()
        y.detach().zero_()
        z.backward()
    """,
    data_shares_memory_without_version="""
        x = torch.ones(2, requires_grad=True)
        y = x * 2
        z = (y * y).sum()
        y.data.zero_()
        z.backward()
        print(x.grad)
    """,
    data_assigned="""
        x = torch.ones(2, requires_grad=True)
        x.data = torch.tensor([5.0, 6.0])
        print(x, x.is_leaf, x.requires_grad)
        x.data = torch.zeros(3)
        print(x.shape)
        x.data[1] = 7
        print(x)
    """,
    requires_grad_assigned="""
        x = torch.ones(2)
        x.requires_grad = True
        (x * 2).sum().backward()
        print(x.grad)
        x.requires_grad = False
        print((x * 2).requires_grad)
        print(x.requires_grad_() is x, x.requires_grad)
    """,
    requires_grad_assigned_to_an_inner_tensor="""
        x = torch.ones(2, requires_grad=True)
        y = x * 2
        y.requires_grad = False
    """,
    frozen_layers="""
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        for p in net[0].parameters():
            p.requires_grad = False
        net(torch.ones(1, 2)).sum().backward()
        print([p.grad is None for p in net.parameters()])
    """,
    numpy_of_a_tensor_with_gradients="""
        torch.ones(2, requires_grad=True).numpy()
    """,
    item_and_tolist_are_allowed="""
        x = torch.tensor([2.5], requires_grad=True)
        print(x.item(), x.tolist(), float(x))
    """,
    clone_is_differentiable="""
        x = torch.ones(2, requires_grad=True)
        y = x.clone()
        y[0] = 5
        y.sum().backward()
        print(x.grad, x)
    """,
    new_tensor_from_a_tensor="""
        x = torch.ones(2, requires_grad=True)
        print(torch.tensor(x), x.new_tensor([1.0]).requires_grad)
    """,
)
def test_leaves_and_detachment(script):
    run_both(script)
