// SPDX-License-Identifier: MIT
// One entry per exception vector: makes every frame alike (an error code of 0 where the CPU pushes
// none), saves the general registers and calls axiom_exception(frame). It never returns.

    .set ERROR_CODES, 0x60227d00  // bit n: the CPU pushes an error code for vector n

    .text
    .macro entry vector
    .align 16
    .if !((ERROR_CODES >> \vector) & 1)
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
    .rept 32
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
    mov %rsp, %rdi
    and $-16, %rsp
    call axiom_exception
    ud2

    .section .note.GNU-stack, "", @progbits
