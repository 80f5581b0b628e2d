// SPDX-License-Identifier: MIT
// Where a started core begins: real mode, at the start of a page below 1 MiB that this is copied to,
// with its data in the next page (efi/cpu/trampoline.h). Read-only data to the linker, so that it is
// never run where it was linked. ebp: ticket; esi: the data's address.

    .set TICKETS, 0
    .set PLACES, 4
    .set GDT, 8
    .set JUMP32, 16
    .set JUMP64, 24
    .set CR4, 32
    .set CR3, 36
    .set EFER, 40
    .set CR0, 44
    .set NEEDED_EDX, 48
    .set NEEDED_ECX, 52
    .set ROOT, 56
    .set FIRST_STACK, 64
    .set STACK_STRIDE, 72
    .set ENTRY, 80
    .set SHARED, 88

    .set DATA_SELECTOR, 0x10
    .set EFER_MSR, 0xc0000080

    .section .rodata.trampoline, "a", @progbits
    .globl axiom_trampoline_begin, axiom_trampoline_32, axiom_trampoline_64, axiom_trampoline_end
    .hidden axiom_trampoline_begin, axiom_trampoline_32, axiom_trampoline_64, axiom_trampoline_end
    .align 16
axiom_trampoline_begin:
    .code16
    cli
    cld
    mov %cs, %ax
    add $0x100, %ax
    mov %ax, %ds
    movzwl %ax, %esi
    shl $4, %esi
    mov $1, %ebp
    lock xadd %ebp, TICKETS
    cmp PLACES, %ebp  // also once the door is closed: unsigned, that is a high ticket
    jae park16
    lgdtl GDT
    mov %cr0, %eax
    or $1, %eax
    mov %eax, %cr0
    ljmpl *JUMP32
park16:
    cli
    hlt
    jmp park16

    .code32
axiom_trampoline_32:
    mov $DATA_SELECTOR, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x80000000, %eax
    cpuid
    cmp $0x80000001, %eax
    jb park32
    mov $0x80000001, %eax
    cpuid
    not %edx
    test NEEDED_EDX(%esi), %edx
    jnz park32
    cmpl $0, NEEDED_ECX(%esi)
    je able
    xor %eax, %eax
    cpuid
    cmp $7, %eax
    jb park32
    mov $7, %eax
    xor %ecx, %ecx
    cpuid
    not %ecx
    test NEEDED_ECX(%esi), %ecx
    jnz park32
able:
    mov CR4(%esi), %eax
    mov %eax, %cr4
    mov CR3(%esi), %eax
    mov %eax, %cr3
    mov $EFER_MSR, %ecx
    mov EFER(%esi), %eax
    xor %edx, %edx
    wrmsr
    mov CR0(%esi), %eax
    mov %eax, %cr0
    ljmpl *JUMP64(%esi)
park32:
    cli
    hlt
    jmp park32

    .code64
axiom_trampoline_64:
    mov %ebp, %edi
    mov %esi, %esi
    mov ROOT(%rsi), %rax
    mov %rax, %cr3
    mov STACK_STRIDE(%rsi), %rsp
    imul %rdi, %rsp
    add FIRST_STACK(%rsi), %rsp
    xor %ebp, %ebp
    mov ENTRY(%rsi), %rax
    mov SHARED(%rsi), %rsi
    call *%rax
    ud2
axiom_trampoline_end:

    .section .note.GNU-stack, "", @progbits
