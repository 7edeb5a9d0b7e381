"""The driver's LLVM IR: one text for every processor, with each one's way to say that it waits."""

from __future__ import annotations

import llvmlite.binding as llvm
import pytest

from fakel.runtime.driver import driver_text

llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()


@pytest.mark.parametrize(
    ("machine", "triple", "waiting"),
    [
        ("x86_64", "x86_64-unknown-linux-gnu", "pause"),
        ("x86_64", "x86_64-apple-darwin23", "pause"),
        ("aarch64", "aarch64-unknown-linux-gnu", "yield"),
        ("arm64", "arm64-apple-darwin23", "yield"),
        ("riscv64", "riscv64-unknown-linux-gnu", None),
    ],
)
def test_the_driver_compiles(machine, triple, waiting):
    try:
        target = llvm.Target.from_triple(triple)
    except RuntimeError:
        pytest.skip("this LLVM was built without the processor")
    target_machine = target.create_target_machine(opt=3, codemodel="default")
    module = llvm.parse_assembly(driver_text(machine))
    module.triple = triple
    module.data_layout = str(target_machine.target_data)
    module.verify()
    lines = [line.strip() for line in target_machine.emit_assembly(module).splitlines()]
    assert {line for line in lines if line in ("pause", "yield")} == {waiting} - {None}


def test_the_driver_calls_only_what_every_system_has():
    module = llvm.parse_assembly(driver_text("x86_64"))
    outside = {function.name for function in module.functions if function.is_declaration}
    assert {name for name in outside if not name.startswith("llvm.")} == {
        "pthread_mutex_init",
        "pthread_mutex_lock",
        "pthread_mutex_unlock",
        "pthread_cond_init",
        "pthread_cond_wait",
        "pthread_cond_broadcast",
        "pthread_create",
        "pthread_join",
        "sched_yield",
    }
