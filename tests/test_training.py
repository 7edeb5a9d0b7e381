"""Whole training scripts give PyTorch's numbers, step by step, for the same seed."""

import pytest

from tests.support.both import run_both, scripts

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@scripts(
    classification_with_sgd="""
        torch.manual_seed(1)
        x, y = torch.randn(64, 20), torch.randint(0, 5, (64,))
        net = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 5))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        criterion = nn.CrossEntropyLoss()
        for epoch in range(5):
            for i in range(0, 64, 16):
                optimizer.zero_grad()
                loss = criterion(net(x[i : i + 16]), y[i : i + 16])
                loss.backward()
                optimizer.step()
            print(f"{epoch} {loss.item():.4f}")
        with torch.no_grad():
            print((net(x).argmax(1) == y).float().mean().item())
    """,
    a_convolutional_network="""
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv1 = nn.Conv2d(1, 4, 5)
                self.conv2 = nn.Conv2d(4, 8, 3, padding=1)
                self.dropout = nn.Dropout(0.3)
                self.fc = nn.Linear(8 * 6 * 6, 10)
            def forward(self, x):
                x = F.max_pool2d(F.relu(self.conv1(x)), 2)
                x = F.max_pool2d(F.relu(self.conv2(x)), 2)
                return F.log_softmax(self.fc(self.dropout(x.view(x.size(0), -1))), dim=1)
        torch.manual_seed(2)
        net = Net()
        print(net)
        x, y = torch.randn(8, 1, 28, 28), torch.arange(8)
        optimizer = torch.optim.Adam(net.parameters(), lr=0.001)
        net.train()
        for step in range(5):
            optimizer.zero_grad()
            loss = F.nll_loss(net(x), y)
            loss.backward()
            optimizer.step()
            print(f"{loss.item():.4f}")
        net.eval()
        print(f"{F.nll_loss(net(x), y).item():.4f}")
    """,
    batch_normalisation_and_schedules="""
        torch.manual_seed(3)
        net = nn.Sequential(
            nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
            nn.Flatten(), nn.Linear(4, 2),
        )
        x, y = torch.randn(8, 3, 8, 8), torch.tensor([0, 1] * 4)
        optimizer = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.1)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=5)
        for step in range(5):
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            print(f"{loss.item():.4f} {scheduler.get_last_lr()[0]:.5f}")
        print(net[1].running_mean, net[1].num_batches_tracked)
    """,
    data_loaders="""
        data = torch.utils.data
        torch.manual_seed(4)
        dataset = data.TensorDataset(torch.arange(10.0).unsqueeze(1), torch.arange(10))
        loader = data.DataLoader(dataset, batch_size=3, shuffle=True)
        for epoch in range(2):
            print([labels.tolist() for _, labels in loader])
        x, y = next(iter(loader))
        print(x.shape, y.dtype, len(loader))
        train, test = data.random_split(dataset, [7, 3])
        print(train.indices, test.indices)
    """,
    the_old_ways="""
        torch.manual_seed(5)
        w = torch.randn(3, 1, requires_grad=True)
        b = torch.zeros(1, requires_grad=True)
        x = torch.randn(16, 3)
        y = x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.3
        for step in range(4):
            loss = ((x.mm(w) + b - y) ** 2).mean()
            loss.backward()
            w.data -= 0.1 * w.grad
            b.data -= 0.1 * b.grad.data
            w.grad.data.zero_()
            b.grad.data.zero_()
            print(step, loss.data, round(loss.item(), 4))
        model = nn.Sequential()
        model.add_module("first", nn.Linear(3, 2))
        model.add_module("second", nn.ReLU())
        print([name for name, p in model.named_parameters()], model)
        v = torch.arange(3.0)
        v.unsqueeze_(0)
        print(v.shape, torch.add(v, v, out=v), v)
    """,
    a_language_model="""
        torch.manual_seed(6)
        embedding, rnn_in, rnn_h = nn.Embedding(10, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        head = nn.Linear(8, 10)
        parameters = [p for m in (embedding, rnn_in, rnn_h, head) for p in m.parameters()]
        optimizer = torch.optim.RMSprop(parameters, lr=0.01)
        tokens = torch.randint(0, 10, (4, 7))
        for step in range(4):
            h = torch.zeros(4, 8)
            loss = 0
            for t in range(6):
                h = torch.tanh(rnn_in(embedding(tokens[:, t])) + rnn_h(h))
                loss = loss + F.cross_entropy(head(h), tokens[:, t + 1])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            print(f"{loss.item():.4f}")
        print(torch.multinomial(F.softmax(head(h), dim=-1), 1).squeeze().tolist())
    """,
    attention="""
        torch.manual_seed(7)
        B, T, C = 2, 5, 8
        class Block(nn.Module):
            def __init__(self):
                super().__init__()
                self.norm = nn.LayerNorm(C)
                self.qkv = nn.Linear(C, 3 * C)
                self.out = nn.Linear(C, C)
                self.register_buffer("mask", torch.tril(torch.ones(T, T)).view(1, 1, T, T))
            def forward(self, x):
                q, k, v = self.qkv(self.norm(x)).split(C, dim=2)
                q, k, v = (t.view(B, T, 2, C // 2).transpose(1, 2) for t in (q, k, v))
                weights = (q @ k.transpose(-2, -1)) * (C // 2) ** -0.5
                weights = weights.masked_fill(self.mask[:, :, :T, :T] == 0, float("-inf"))
                y = F.softmax(weights, dim=-1) @ v
                return x + self.out(y.transpose(1, 2).contiguous().view(B, T, C))
        net = nn.Sequential(Block(), Block())
        x = torch.randn(B, T, C)
        optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
        for step in range(4):
            loss = F.mse_loss(net(x), x.roll(1, 1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            print(f"{loss.item():.4f}")
        print(sorted(net.state_dict())[:3], sum(p.numel() for p in net.parameters()))
    """,
    two_networks_against_each_other="""
        torch.manual_seed(8)
        G = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 2))
        D = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1), nn.Sigmoid())
        betas = (0.5, 0.999)
        optimizers = [torch.optim.Adam(m.parameters(), lr=0.002, betas=betas) for m in (G, D)]
        criterion = nn.BCELoss()
        for step in range(4):
            real = torch.randn(8, 2) + 3
            ones, zeros = torch.ones(8, 1), torch.zeros(8, 1)
            optimizers[1].zero_grad()
            fake = G(torch.randn(8, 2))
            loss_d = criterion(D(real), ones) + criterion(D(fake.detach()), zeros)
            loss_d.backward()
            optimizers[1].step()
            optimizers[0].zero_grad()
            loss_g = criterion(D(fake), ones)
            loss_g.backward()
            optimizers[0].step()
            print(f"{loss_d.item():.4f} {loss_g.item():.4f}")
    """,
)
def test_a_script_prints_what_it_prints_under_pytorch(script):
    run_both(script)
