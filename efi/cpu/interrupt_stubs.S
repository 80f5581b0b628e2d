// SPDX-License-Identifier: MIT
// One entry per vector: makes every frame alike (an error code of 0 where the CPU pushes none), saves the
// general registers and calls axiom_interrupt(frame), which uses no others. Where that is true, the
// interrupted code goes on; else axiom_exception(frame) is called, which never returns.
// Then the read and the write of an MSR that may not exist, which axiom_interrupt() knows.

    .set ERROR_CODES, 0x60227d00  // bit n: the CPU pushes an error code for vector n

    .text
    .macro entry vector
    .align 16
    .if \vector < 32
    .if !((ERROR_CODES >> \vector) & 1)
    push $0
    .endif
    .else
    push $0
    .endif
    push $\vector
    jmp common
    .endm

    .hidden axiom_exception_entries
    .globl axiom_exception_entries
    .align 16
axiom_exception_entries:
    .set i, 0
    .rept 256
    entry i
    .set i, i + 1
    .endr

    .align 16
common:
    push %r15
    push %r14
    push %r13
    push %r12
    push %r11
    push %r10
    push %r9
    push %r8
    push %rbp
    push %rdi
    push %rsi
    push %rdx
    push %rcx
    push %rbx
    push %rax
    cld
    mov %rsp, %rbx
    mov %rsp, %rdi
    and $-16, %rsp
    call axiom_interrupt
    test %al, %al
    jz 1f
    mov %rbx, %rsp
    pop %rax
    pop %rbx
    pop %rcx
    pop %rdx
    pop %rsi
    pop %rdi
    pop %rbp
    pop %r8
    pop %r9
    pop %r10
    pop %r11
    pop %r12
    pop %r13
    pop %r14
    pop %r15
    add $16, %rsp
    iretq
1:  mov %rbx, %rdi
    call axiom_exception
    ud2

// bool axiom_probe_msr(uint32_t msr, uint64_t* value)
    .hidden axiom_probe_msr, axiom_probe_msr_read, axiom_probe_msr_failed
    .globl axiom_probe_msr, axiom_probe_msr_read, axiom_probe_msr_failed
    .align 16
axiom_probe_msr:
    mov %edi, %ecx
axiom_probe_msr_read:
    rdmsr
    shl $32, %rdx
    or %rdx, %rax
    mov %rax, (%rsi)
    mov $1, %eax
    ret
axiom_probe_msr_failed:
    xor %eax, %eax
    ret

// bool axiom_try_msr(uint32_t msr, uint64_t value)
    .hidden axiom_try_msr, axiom_try_msr_write
    .globl axiom_try_msr, axiom_try_msr_write
    .align 16
axiom_try_msr:
    mov %edi, %ecx
    mov %esi, %eax
    mov %rsi, %rdx
    shr $32, %rdx
axiom_try_msr_write:
    wrmsr
    mov $1, %eax
    ret

    .section .note.GNU-stack, "", @progbits
