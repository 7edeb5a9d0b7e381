"""In-place operators under autograd: what is refused, views, version counters, against PyTorch."""

from tests.support.both import run_both, scripts


@scripts(
    a_leaf="""
        x = torch.ones(2, requires_grad=True)
        x += 1
    """,
    a_view_of_a_leaf="""
        x = torch.ones(2, 2, requires_grad=True)
        x[0] += 1
    """,
    writing_by_index_into_a_leaf="""
        x = torch.ones(2, 2, requires_grad=True)
        x[0] = 1
    """,
    a_saved_input="""
        x = torch.ones(2, 3, requires_grad=True)
        y = x * 2
        z = y ** 2
        y += 1
        z.sum().backward()
    """,
    a_saved_result="""
        x = torch.ones(2, 3, requires_grad=True)
        y = x.exp()
        y += 1
        y.sum().backward()
    """,
    a_saved_result_of_sigmoid="""
        x = torch.ones(3, requires_grad=True)
        y = x.sigmoid()
        y.mul_(2)
        y.sum().backward()
    """,
    saved_by_another_operator_through_a_view="""
        x = torch.ones(4, requires_grad=True)
        y = x * 2
        z = y[:2] * y[2:]
        y[0] = 5
        try:
            z.sum().backward()
        except RuntimeError as error:
            print(str(error)[:100])
    """,
    something_not_saved_may_be_overwritten="""
        x = torch.ones(3, requires_grad=True)
        y = x * 2
        z = y + 1
        y.zero_()
        z.sum().backward()
        print(x.grad)
    """,
    a_weight_that_was_updated="""
        torch.manual_seed(0)
        a, b = nn.Linear(2, 2), nn.Linear(2, 2)
        optimizer = torch.optim.SGD([*a.parameters(), *b.parameters()], lr=0.1)
        loss = b(a(torch.ones(1, 2))).sum()
        loss.backward(retain_graph=True)
        optimizer.step()
        try:
            loss.backward()
        except RuntimeError as error:
            print(str(error)[:100])
    """,
    versions="""
        x = torch.zeros(3)
        print(x._version)
        x.add_(1)
        x[0] = 2
        y = x[1:]
        y.mul_(2)
        print(x._version, y._version, x.detach()._version, x.clone()._version)
    """,
)
def test_refused_or_not(script):
    run_both(script)


@scripts(
    an_inner_tensor="""
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        y = x * 2
        y += x
        y *= 3
        y.sum().backward()
        print(x.grad, y)
    """,
    writing_a_number_cuts_the_gradient="""
        x = torch.ones(4, requires_grad=True)
        y = x * 2
        y[1] = 7
        y.sum().backward()
        print(x.grad)
    """,
    writing_a_tensor_carries_the_gradient="""
        x = torch.ones(4, requires_grad=True)
        v = torch.tensor(5.0, requires_grad=True)
        y = x * 2
        y[1] = v * v
        y.sum().backward()
        print(x.grad, v.grad)
    """,
    a_view_then_the_base="""
        x = torch.ones(2, 3, requires_grad=True)
        y = x * 2
        row = y[0]
        row.mul_(10)
        print(y)
        y.sum().backward()
        print(x.grad)
    """,
    the_base_then_the_view="""
        x = torch.ones(2, 3, requires_grad=True)
        y = x * 2
        row = y[0]
        y.mul_(10)
        row.sum().backward()
        print(x.grad, type(row.grad_fn).__name__)
    """,
    a_view_of_a_view="""
        x = torch.arange(6.0).reshape(2, 3).requires_grad_()
        y = x + 0
        y.t()[1:].mul_(2)
        (y * y).sum().backward()
        print(x.grad)
    """,
    a_buffer_that_becomes_differentiable="""
        x = torch.ones(3, requires_grad=True)
        buffer = torch.zeros(2, 3)
        buffer[1] = x * 2
        print(buffer.requires_grad)
        (buffer ** 2).sum().backward()
        print(x.grad)
    """,
    filling_a_buffer_in_a_loop="""
        x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
        out = torch.zeros(3, 3)
        for i in range(3):
            out[i] = x * i
        out.sum().backward()
        print(x.grad)
    """,
    copy_="""
        x = torch.ones(3, requires_grad=True)
        y = torch.zeros(3)
        y.copy_(x * 3)
        y.sum().backward()
        print(x.grad, y.requires_grad)
    """,
    masked_fill_="""
        x = torch.tensor([1.0, -1.0, 2.0], requires_grad=True)
        y = x * 1
        y.masked_fill_(x < 0, 0)
        y.sum().backward()
        print(x.grad)
    """,
    relu_="""
        x = torch.tensor([1.0, -1.0, 2.0], requires_grad=True)
        y = (x * 2).relu_()
        y.sum().backward()
        print(x.grad)
        print(F.relu(x * 1, inplace=True))
    """,
    shape_in_place="""
        x = torch.ones(2, 3, requires_grad=True)
        y = x * 2
        y.unsqueeze_(0)
        y.transpose_(1, 2)
        (y * torch.arange(6.0).reshape(1, 3, 2)).sum().backward()
        print(x.grad)
    """,
    out_does_not_differentiate="""
        x = torch.ones(2, requires_grad=True)
        torch.add(x, x, out=torch.zeros(2))
    """,
    under_no_grad_through_a_view="""
        x = torch.ones(3, requires_grad=True)
        with torch.no_grad():
            x[0] = 5
            x[1:].mul_(2)
        print(x)
        x.sum().backward()
        print(x.grad)
    """,
    parts_of_split_are_not_written="""
        x = torch.ones(4, requires_grad=True)
        a, b = (x * 1).split(2)
        a += 1
    """,
    parts_of_unbind_are_not_written="""
        x = torch.ones(4, requires_grad=True)
        parts = (x * 1).unbind()
        parts[0].add_(1)
    """,
    a_view_made_under_no_grad="""
        x = torch.ones(2, 2, requires_grad=True)
        y = x * 1
        with torch.no_grad():
            view = y[0]
        view.mul_(2)
    """,
    expanded_memory_is_not_written="""
        x = torch.ones(1).expand(3)
        x += 1
    """,
)
def test_gradients_through_writes(script):
    run_both(script)
