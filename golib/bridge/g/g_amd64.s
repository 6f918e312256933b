#include "textflag.h"

// func Current() unsafe.Pointer
TEXT ·Current(SB), NOSPLIT, $0-8
	MOVQ	(TLS), AX
	MOVQ	AX, ret+0(FP)
	RET

// func Used(hi uintptr) uintptr
TEXT ·Used(SB), NOSPLIT, $0-16
	MOVQ	(TLS), AX
	MOVQ	hi+0(FP), CX
	MOVQ	(AX)(CX*1), AX
	SUBQ	SP, AX
	MOVQ	AX, ret+8(FP)
	RET

// The C calling convention: no arguments, result in AX, and CX is the
// caller's to save. Reads the same slot as runtime·cgocallback.
TEXT ·forC(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ	TLS, CX
	MOVQ	0(CX)(TLS*1), AX
	RET

// func CReader() unsafe.Pointer
TEXT ·CReader(SB), NOSPLIT, $0-8
	LEAQ	·forC(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
